//! Configuration that is valid by construction.
//!
//! The types stand here; they are what all layers read, and an application that uses the layers alone fills them in by hand.
//! Reading them from `proxy.toml` (feature `server`) takes three steps, a file each: `raw` knows TOML (keys, types, lines), `validate`
//! knows what the keys mean and reports every problem of a file at once, `watch` reads again when something changes. [`Live`] is the
//! one place where the result is swapped in.

mod live;
#[cfg(feature = "server")]
mod raw;
#[cfg(feature = "server")]
mod validate;
#[cfg(feature = "server")]
mod watch;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

pub use live::{Live, Snapshot};
#[cfg(feature = "server")]
pub use raw::{Problem, Problems};
#[cfg(feature = "server")]
pub use validate::{Loaded, Surroundings, load, parse};
#[cfg(feature = "server")]
pub use watch::{Change, Watch};

use crate::{
    access::Access,
    dbrp::Table,
    native::{Api, AuthErrors, Target},
    types::{Profile, Secret},
};

/// Everything that can be configured.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `[server]`: the listener.
    pub server: Server,
    /// `[compat]`
    pub compat: Compat,
    /// `[auth]`
    pub auth: Auth,
    /// `[guard]`: a policy per verb.
    pub guard: Guard,
    /// `[[dbrp]]`, `[dbrp_defaults]`
    pub dbrp: Dbrp,
    /// `[limits]`
    pub limits: Limits,
    /// `[backend]`, `[embedded]`, `[upstream]`
    pub backend: Backend,
    /// `[spool]`
    pub spool: Spool,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// `listen`: one or several.
    pub listen: Vec<Listen>,
    /// `[server.tls]`: PEM files.
    pub tls: Option<Tls>,
    /// `header_timeout`: for the TLS handshake, and from there to the end of the first request's headers. Those of later ones have to be there
    /// within `idle_timeout` of the last answer.
    pub header_timeout: Duration,
    /// `idle_timeout`: between two pieces of a request's body, for a client to take a piece of the answer, and between the requests of
    /// a connection.
    pub idle_timeout: Duration,
    /// `max_connections`: further ones wait in the listener's queue.
    pub max_connections: usize,
    /// `max_header_bytes`: of a request's line and headers together.
    pub max_header_bytes: usize,
    /// `compress`: whether answers are gzipped for clients that take it.
    pub compress: bool,
    /// `shutdown_grace`: how long open requests may take to finish at shutdown.
    pub shutdown_grace: Duration,
    /// `metrics_listen`: a listener of its own for `/metrics`. On the main one that path may belong to the service below, and where the
    /// service below decides about credentials there is nobody to ask.
    pub metrics_listen: Option<SocketAddr>,
    /// `log`: a filter such as `info,v1shim=debug`.
    pub log: Box<str>,
    /// `log_format`
    pub log_format: LogFormat,
}

/// One of `server.listen`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Listen {
    /// `127.0.0.1:8086`
    Tcp(SocketAddr),
    /// `unix:/run/v1shim.sock`: without TLS.
    Unix(PathBuf),
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `server.log_format`
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[server.tls]`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// `cert`: certificate chain, PEM.
    pub cert: PathBuf,
    /// `key`: private key, PEM.
    pub key: PathBuf,
}

/// `[compat]`
#[derive(Clone, Debug)]
pub struct Compat {
    /// `profile`
    pub profile: Profile,
    /// `version`: what `X-Influxdb-Version` and `/ping?verbose=true` say.
    pub version: Box<str>,
    /// `build`: what `X-Influxdb-Build` says.
    pub build: Box<str>,
    /// `passthrough`: whether paths that aren't v1's go on to the service below.
    pub passthrough: bool,
}

/// `[auth]`
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// `mode`
    pub mode: AuthMode,
    /// `i_know_this_is_open`: says a second time that `mode = "none"` is meant on an address that others can reach.
    pub open: bool,
    /// `[[auth.token]]`
    pub tokens: Vec<Token>,
    /// `[[auth.user]]`
    pub users: Vec<Arc<User>>,
    /// `jwt_secret`: with which JSON Web Tokens that name users are signed (HS256).
    pub jwt_secret: Option<Secret>,
}

/// `auth.mode`
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum AuthMode {
    /// The token table decides.
    #[default]
    Local,
    /// The service below decides.
    Passthrough,
    /// Nobody asks.
    None,
}

/// A token that `local` knows; the secret itself is not kept.
#[derive(Clone, Debug)]
pub struct Token {
    /// `name`, for logs.
    pub name: Arc<str>,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// `access`
    pub access: Arc<Access>,
    /// What it is exchanged for on the way to an upstream; absent: the backend's own token.
    pub forward: Option<Secret>,
}

/// A user of 1.x that `local` knows.
#[derive(Clone, Debug)]
pub struct User {
    /// `name`
    pub name: Arc<str>,
    /// `bcrypt`: the hash of the password; absent: the user comes with a JSON Web Token.
    pub bcrypt: Option<Box<str>>,
    /// `access`
    pub access: Arc<Access>,
    /// What the password is exchanged for on the way to an upstream; absent: the backend's own token.
    pub forward: Option<Secret>,
}

/// What happens to statements with a verb.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Policy {
    /// It is refused, and nothing of its query runs.
    Reject,
    /// It is answered with success and not run.
    Ack,
    /// It is run by the service below.
    Forward,
    /// The same, but what is about databases and retention policies is done with the management API of an upstream, which takes no such
    /// statements. For `create`, `alter` and `drop`.
    Provision,
}

/// `[guard]`: a policy per verb; an absent one takes its profile's default.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs)]
pub struct Guard {
    pub select_into: Option<Policy>,
    pub create: Option<Policy>,
    pub delete: Option<Policy>,
    pub drop: Option<Policy>,
    pub grant: Option<Policy>,
    pub explain: Option<Policy>,
    pub revoke: Option<Policy>,
    pub alter: Option<Policy>,
    pub set: Option<Policy>,
    pub kill: Option<Policy>,
}

/// The mapping and what happens where it says nothing.
#[derive(Clone, Debug)]
pub struct Dbrp {
    /// `[[dbrp]]`
    pub mappings: Table,
    /// Name for an upstream that can't be asked, without `rp`: `{db}`.
    pub template: Box<str>,
    /// The same with an `rp`: `{db}/{rp}`.
    pub template_rp: Box<str>,
    /// Whether a write by an all-access token makes a missing bucket.
    pub auto_create: bool,
    /// `source`
    pub source: Source,
    /// `refresh`: how long what an upstream told is taken as it is.
    pub refresh: Duration,
}

/// `dbrp_defaults.source`: where mappings come from that aren't configured.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Source {
    /// From what the service below keeps.
    #[default]
    Upstream,
    /// From nowhere: it is not asked, and names come from templates.
    Config,
}

/// `[limits]`
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `body`: bytes of a request body as it comes over the wire.
    pub body: u64,
    /// `decompressed`: bytes of a gzip body once decompressed.
    pub decompressed: u64,
    /// `query`: bytes of `q`.
    pub query: usize,
    /// `query_depth`: nesting of `q`.
    pub query_depth: usize,
    /// `query_timeout`
    pub query_timeout: Duration,
    /// `write_timeout`
    pub write_timeout: Duration,
    /// `query_memory`: bytes that one query may hold.
    pub query_memory: usize,
    /// `concurrent_queries`
    pub concurrent_queries: usize,
}

/// What stands below the stack.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it in a configuration")]
pub enum Backend {
    /// `kind = "embedded"`
    Embedded(Embedded),
    /// `kind = "upstream"`
    Upstream(Upstream),
}

/// `[embedded]`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Embedded {
    /// `data_dir`
    pub data_dir: PathBuf,
    /// `memory`: bytes of points held before they are written to Parquet files.
    pub memory: usize,
}

/// How a v3 server is asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum QueryBy {
    /// Over Arrow Flight, and over HTTP where it has none.
    #[default]
    Auto,
    /// Over Arrow Flight.
    Flight,
    /// Over HTTP.
    Http,
}

/// `[upstream]`
#[derive(Clone, Debug)]
pub struct Upstream {
    /// `api`
    pub api: Api,
    /// `query`
    pub query: QueryBy,
    /// `url`: scheme, authority and an optional path in front of all paths.
    pub url: http::Uri,
    /// `urls`: more addresses of the same data.
    pub urls: Vec<http::Uri>,
    /// `org`: v2's.
    pub org: Box<str>,
    /// `token`, `token_file`, `token_env`: sent where the client's own isn't.
    pub token: Option<Secret>,
    /// `connect_timeout`
    pub connect_timeout: Duration,
    /// `timeout`: without a sign of life.
    pub timeout: Duration,
    /// `[upstream.tls]`; absent: the system's roots, and no certificate of our own.
    pub tls: Option<UpstreamTls>,
    /// `auth_errors`: what a 401 or 403 to a write means to v1 writers.
    pub auth_errors: AuthErrors,
    /// `retries`: how often a request that may be repeated is, at most.
    pub retries: u32,
    /// `retry_percent`: repetitions per hundred requests.
    pub retry_percent: u32,
    /// `replay_bytes`: of a request's body kept for repetitions.
    pub replay_bytes: usize,
    /// `max_requests`: open at once; further ones are refused.
    pub max_requests: usize,
    /// `breaker_failures`: in a row, upon which an address is left alone for a while.
    pub breaker_failures: u32,
    /// `health_interval`: between two looks at each address, where there are several.
    pub health_interval: Duration,
}

/// `[upstream.tls]`: PEM files.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UpstreamTls {
    /// `ca`: whom to trust, instead of the system's roots.
    pub ca: Option<PathBuf>,
    /// `cert` and `key`: as whom to come.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// `[spool]`: where writes wait while the upstream is away.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spool {
    /// `dir`; none: they don't.
    pub dir: Option<PathBuf>,
    /// `max_bytes`
    pub max_bytes: u64,
    /// `max_age`: older ones are dead letters.
    pub max_age: Duration,
}

impl Backend {
    /// How the stack talks to it.
    #[must_use]
    pub fn target(&self) -> Target {
        use crate::native::ReplyFormat;
        match self {
            Self::Embedded(_) => Target { api: Api::V3, reply: ReplyFormat::Arrow, multi_bucket: true, full_influxql: true },
            Self::Upstream(Upstream { api: Api::V2, .. }) => {
                Target { api: Api::V2, reply: ReplyFormat::V1Json, multi_bucket: false, full_influxql: false }
            }
            Self::Upstream(Upstream { api: Api::V3, query, .. }) => {
                let reply = match query {
                    QueryBy::Flight => ReplyFormat::Flight,
                    // What can't be read isn't asked for.
                    QueryBy::Auto if cfg!(feature = "arrow") => ReplyFormat::FlightOrJsonl,
                    QueryBy::Auto | QueryBy::Http => ReplyFormat::Jsonl,
                };
                Target { api: Api::V3, reply, multi_bucket: false, full_influxql: false }
            }
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 8086)))],
            tls: None,
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            max_connections: 10_000,
            max_header_bytes: 256 << 10,
            compress: true,
            shutdown_grace: Duration::from_secs(30),
            metrics_listen: None,
            log: "info".into(),
            log_format: LogFormat::default(),
        }
    }
}

impl Default for Compat {
    fn default() -> Self {
        Self { profile: Profile::default(), version: "1.8.10".into(), build: "OSS".into(), passthrough: true }
    }
}

impl Default for Dbrp {
    fn default() -> Self {
        Self {
            mappings: Table::default(),
            template: "{db}".into(),
            template_rp: "{db}/{rp}".into(),
            auto_create: true,
            source: Source::default(),
            refresh: Duration::from_secs(10),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 25_000_000,
            decompressed: 250_000_000,
            query: 1 << 20,
            query_depth: 64,
            query_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(10),
            query_memory: 1 << 30,
            concurrent_queries: 64,
        }
    }
}

impl Default for Backend {
    fn default() -> Self {
        Self::Embedded(Embedded::default())
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self { dir: None, max_bytes: 1 << 30, max_age: Duration::from_secs(7 * 86_400) }
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self { data_dir: PathBuf::from("data"), memory: 256 << 20 }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            api: Api::V3,
            query: QueryBy::default(),
            url: http::Uri::from_static("http://127.0.0.1:8181"),
            urls: Vec::new(),
            org: "".into(),
            token: None,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(300),
            tls: None,
            auth_errors: AuthErrors::default(),
            retries: 2,
            retry_percent: 20,
            replay_bytes: 25_000_000,
            max_requests: 1024,
            breaker_failures: 10,
            health_interval: Duration::from_secs(10),
        }
    }
}
