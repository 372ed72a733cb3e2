//! What the keys of `proxy.toml` mean: the file's tree → [`Config`], or everything that is wrong with it.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::{
    Auth, AuthMode, Backend, Compat, Config, Dbrp, Embedded, Guard, Limits, Listen, LogFormat, Policy, QueryBy, Server, Source,
    Spool, Tls, Token, Upstream, UpstreamTls, User,
    raw::{Problem, Problems, Section, read, wrong},
};
use crate::{
    access::{Access, Grant},
    dbrp::Mapping,
    native::{Api, AuthErrors},
    types::{Profile, Secret},
};

/// A configuration and the files that went into it, besides the one it was read from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What they say.
    pub config: Config,
    /// Tokens, certificates and keys; a change in one of them is a change of the configuration.
    pub files: Vec<PathBuf>,
}

/// Where `env` and `file` keys look; a parameter so that it can be tested.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// An environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// A file's contents.
    pub file: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Surroundings")
    }
}

impl Surroundings<'static> {
    /// The process's environment and file system.
    #[must_use]
    pub fn real() -> Self {
        Self { env: &|name| std::env::var(name).ok(), file: &|path| std::fs::read_to_string(path) }
    }
}

/// Reads a file; without one, the defaults.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: Option<&Path>) -> Result<Loaded, Problems> {
    let text = match path {
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            let message = format!("can't read {}: {error}", path.display());
            Problems(vec![Problem { line: None, key: String::new(), message }])
        })?,
        None => String::new(),
    };
    parse(&text, Surroundings::real())
}

/// Makes a configuration of `proxy.toml`'s text.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &str, around: Surroundings<'_>) -> Result<Loaded, Problems> {
    parse_with_keys(text, around).map(|(loaded, _)| loaded)
}

/// The same with all keys that it asked for.
fn parse_with_keys(text: &str, around: Surroundings<'_>) -> Result<(Loaded, BTreeSet<String>), Problems> {
    read(text, |root| {
        let mut reader = Reader { around, files: Vec::new() };
        let mut section = root.section("server");
        let server = reader.server(&mut section);
        section.finish();
        let mut section = root.section("compat");
        let compat = compat(&mut section);
        section.finish();
        let backend = reader.backend(root);
        let auth = reader.auth(root, &server, &backend);
        let spool = spool(root, &backend, &auth);
        let mut section = root.section("guard");
        let guard = guard(&mut section);
        section.finish();
        let dbrp = dbrp(root, compat.profile, &backend, guard);
        let mut section = root.section("limits");
        let limits = limits(&mut section);
        section.finish();
        Loaded { config: Config { server, compat, auth, guard, dbrp, limits, backend, spool }, files: reader.files }
    })
}

/// Reads what may point to a file or an environment variable.
struct Reader<'a> {
    around: Surroundings<'a>,
    files: Vec<PathBuf>,
}

impl Reader<'_> {
    fn server(&mut self, section: &mut Section<'_, '_>) -> Server {
        let default = Server::default();
        Server {
            listen: self::listen(section).unwrap_or(default.listen),
            header_timeout: section.duration("header_timeout").unwrap_or(default.header_timeout),
            idle_timeout: section.duration("idle_timeout").unwrap_or(default.idle_timeout),
            max_connections: size(section.count("max_connections", 1..=1_000_000), default.max_connections),
            // hyper's smallest buffer, and a bound that keeps `max_connections` of them thinkable.
            max_header_bytes: size(section.bytes("max_header_bytes", 8 << 10..=16 << 20), default.max_header_bytes),
            compress: section.boolean("compress").unwrap_or(default.compress),
            shutdown_grace: section.duration("shutdown_grace").unwrap_or(default.shutdown_grace),
            metrics_listen: section
                .parsed("metrics_listen", |text| if text.is_empty() { Ok(None) } else { address(text).map(Some) })
                .unwrap_or(default.metrics_listen),
            log: section.parsed("log", log_filter).unwrap_or(default.log),
            log_format: section
                .choice("log_format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])
                .unwrap_or(default.log_format),
            tls: self.tls(&mut section.section("tls")),
        }
    }

    /// The path of a PEM file.
    fn pem(&mut self, section: &mut Section<'_, '_>, key: &'static str) -> Option<PathBuf> {
        let path: PathBuf = section.parsed(key, not_empty)?.into();
        match (self.around.file)(&path) {
            Ok(text) if text.contains("-----BEGIN ") => {}
            Ok(_) => section.problem(key, format!("{path:?} is not a PEM file")),
            Err(error) => section.problem(key, format!("can't read {path:?}: {error}")),
        }
        self.files.push(path.clone());
        Some(path)
    }

    fn upstream_tls(&mut self, section: &mut Section<'_, '_>) -> Option<UpstreamTls> {
        let ca = self.pem(section, "ca");
        let (cert, key) = (self.pem(section, "cert"), self.pem(section, "key"));
        section.finish();
        if section.has("cert") != section.has("key") {
            let missing = if section.has("cert") { "key" } else { "cert" };
            section.problem(missing, "is missing: a client certificate needs both `cert` and `key`");
        }
        section.is_there().then(|| UpstreamTls { ca, identity: cert.zip(key) })
    }

    fn tls(&mut self, section: &mut Section<'_, '_>) -> Option<Tls> {
        let (cert, key) = (self.pem(section, "cert"), self.pem(section, "key"));
        section.finish();
        if section.is_there() {
            for (name, missing) in [("cert", !section.has("cert")), ("key", !section.has("key"))] {
                if missing {
                    section.problem(name, "is missing: TLS needs both `cert` and `key`");
                }
            }
        }
        Some(Tls { cert: cert?, key: key? })
    }

    fn backend(&mut self, root: &mut Section<'_, '_>) -> Backend {
        #[derive(Clone, Copy)]
        enum Kind {
            Embedded,
            Upstream,
        }
        let mut section = root.section("backend");
        let kind = section.choice("kind", &[("embedded", Kind::Embedded), ("upstream", Kind::Upstream)]);
        section.finish();
        // Both sections are read, whichever counts: a mistake in the other one would else show up on the day it is switched on.
        let default = Embedded::default();
        let mut section = root.section("embedded");
        let embedded = Embedded {
            data_dir: section.parsed("data_dir", not_empty).map_or(default.data_dir, PathBuf::from),
            memory: size(section.bytes("memory", 1 << 20..=1 << 40), default.memory),
        };
        section.finish();
        let mut section = root.section("upstream");
        let upstream = self.upstream(&mut section);
        section.finish();
        match kind.unwrap_or(Kind::Embedded) {
            Kind::Embedded => Backend::Embedded(embedded),
            Kind::Upstream => Backend::Upstream(upstream),
        }
    }

    fn upstream(&mut self, section: &mut Section<'_, '_>) -> Upstream {
        let default = Upstream::default();
        let mut first = section.parsed("url", url);
        let mut urls = section.strings("urls", url).unwrap_or_default();
        if first.is_none() && !section.has("url") && !urls.is_empty() {
            first = Some(urls.remove(0));
        }
        for (n, again) in urls.iter().enumerate() {
            if first.as_ref() == Some(again) || urls.iter().take(n).any(|other| other == again) {
                section.problem("urls", format!("\"{again}\" stands twice"));
            }
        }
        let api = section.choice("api", &[("v2", Api::V2), ("v3", Api::V3)]).unwrap_or(default.api);
        let ways = [("auto", QueryBy::Auto), ("flight", QueryBy::Flight), ("http", QueryBy::Http)];
        let query = section.choice("query", &ways).unwrap_or(default.query);
        if api == Api::V2 && query == QueryBy::Flight {
            section.problem("query", "Arrow Flight is v3's, and upstream.api is \"v2\"");
        }
        Upstream {
            api,
            query,
            url: first.unwrap_or(default.url),
            urls,
            org: section.string("org").map_or(default.org, String::into_boxed_str),
            token: self.secret(section, ["token", "token_file", "token_env"]).map(Secret::new),
            connect_timeout: section.duration("connect_timeout").unwrap_or(default.connect_timeout),
            timeout: section.duration("timeout").unwrap_or(default.timeout),
            tls: self.upstream_tls(&mut section.section("tls")),
            auth_errors: section
                .choice("auth_errors", &[("reject", AuthErrors::Reject), ("retry", AuthErrors::Retry)])
                .unwrap_or(default.auth_errors),
            retries: count(section.count("retries", 0..=10), default.retries),
            retry_percent: count(section.count("retry_percent", 0..=100), default.retry_percent),
            replay_bytes: size(section.bytes("replay_bytes", 0..=1 << 30), default.replay_bytes),
            max_requests: size(section.count("max_requests", 1..=1_000_000), default.max_requests),
            breaker_failures: count(section.count("breaker_failures", 1..=1_000_000), default.breaker_failures),
            health_interval: section.duration("health_interval").unwrap_or(default.health_interval),
        }
    }

    fn auth(&mut self, root: &mut Section<'_, '_>, server: &Server, backend: &Backend) -> Auth {
        let mut section = root.section("auth");
        let upstream = matches!(backend, Backend::Upstream(_));
        let chosen = section
            .choice("mode", &[("local", AuthMode::Local), ("passthrough", AuthMode::Passthrough), ("none", AuthMode::None)]);
        let mode = chosen.unwrap_or(if upstream { AuthMode::Passthrough } else { AuthMode::Local });
        let open = section.boolean("i_know_this_is_open").unwrap_or(false);
        let mut tables = section.sections("token");
        let tokens: Vec<Token> = tables.iter_mut().filter_map(|table| self.token(table, upstream)).collect();
        let jwt_secret = self.secret(&mut section, ["jwt_secret", "jwt_secret_file", "jwt_secret_env"]);
        let jwt_secret = jwt_secret.filter(|secret| !secret.is_empty()).map(Secret::new);
        let mut people = section.sections("user");
        let mut users: Vec<Arc<User>> = Vec::new();
        for table in &mut people {
            let Some(user) = self.user(table, upstream, jwt_secret.is_some()) else { continue };
            if users.iter().any(|other| other.name == user.name) {
                table.problem("name", format!("there is another user named {:?}", user.name));
            }
            users.push(Arc::new(user));
        }
        section.finish();
        for (n, (table, token)) in tables.iter().zip(&tokens).enumerate() {
            if tables.len() == tokens.len() {
                let others = tokens.iter().take(n);
                if others.clone().any(|other| other.name == token.name) {
                    table.problem("name", format!("there is another token named {:?}", token.name));
                }
                if let Some(other) = others.clone().find(|other| other.sha256 == token.sha256) {
                    table.problem("", format!("this is the token of {:?} again", other.name));
                }
            }
        }
        match mode {
            AuthMode::Local if upstream && tables.is_empty() && people.is_empty() => {
                section.problem(
                    "token",
                    "nobody could get in: mode \"local\" before an upstream needs at least one [[auth.token]] or [[auth.user]]",
                );
            }
            AuthMode::Passthrough if !upstream => {
                section
                    .problem("mode", "\"passthrough\" lets the upstream decide, and the embedded store is none: use \"local\"");
            }
            AuthMode::None if !open => {
                // A socket in the file system has its own permissions.
                let far = |listen: &&Listen| matches!(listen, Listen::Tcp(address) if !address.ip().is_loopback());
                if let Some(listen) = server.listen.iter().find(far) {
                    section.problem(
                        "mode",
                        format!(
                            "\"none\" on {listen} gives everything to everybody who can reach it: set auth.i_know_this_is_open = true if that \
                             is meant"
                        ),
                    );
                }
            }
            _ => {}
        }
        if mode != AuthMode::Local && !tables.is_empty() {
            section.problem("token", "tokens count in mode \"local\" only: say mode = \"local\", or take them out");
        }
        if mode != AuthMode::Local && !people.is_empty() {
            section.problem("user", "users count in mode \"local\" only: say mode = \"local\", or take them out");
        }
        Auth { mode, open, tokens, users, jwt_secret }
    }

    fn token(&mut self, table: &mut Section<'_, '_>, upstream: bool) -> Option<Token> {
        let name = table.parsed("name", not_empty);
        if !table.has("name") {
            table.problem("name", "is missing: it tells tokens apart in logs");
        }
        let hash =
            table.parsed("sha256", |text| parse_hash(text).ok_or_else(|| format!("expected 64 hex digits, found {text:?}")));
        let secret = self.secret(table, ["token", "file", "env"]);
        match ["token", "sha256", "file", "env"].into_iter().filter(|key| table.has(key)).collect::<Vec<_>>().as_slice() {
            [] => table.problem("token", "is missing: one of `token`, `sha256`, `file` and `env` is needed"),
            [_, "sha256", ..] | ["sha256", _, ..] => {
                table.problem("sha256", "only one of `token`, `sha256`, `file` and `env` may stand")
            }
            [_] => {}
            // Two of the others: `secret` has said so.
            _ => {}
        }
        if table.has("token") && secret.as_deref() == Some("") {
            table.problem("token", "is empty");
        }
        let access = access(table);
        let forward = self.forward(table, upstream);
        table.finish();
        Some(Token {
            name: name?.into(),
            sha256: hash.or_else(|| secret.filter(|secret| !secret.is_empty()).map(|secret| Sha256::digest(secret).into()))?,
            access: Arc::new(access?),
            forward,
        })
    }

    fn forward(&mut self, table: &mut Section<'_, '_>, upstream: bool) -> Option<Secret> {
        let forward = self.secret(table, ["forward", "forward_file", "forward_env"]);
        if forward.is_some() && !upstream {
            table.problem("forward", "is sent to an upstream, and there is none with backend.kind = \"embedded\"");
        }
        forward.filter(|forward| !forward.is_empty()).map(Secret::new)
    }

    fn user(&mut self, table: &mut Section<'_, '_>, upstream: bool, jwt: bool) -> Option<User> {
        let name = table.parsed("name", not_empty);
        if !table.has("name") {
            table.problem("name", "is missing");
        }
        let bcrypt = table.parsed("bcrypt", bcrypt_hash);
        if !table.has("bcrypt") && !jwt {
            table.problem("bcrypt", "is missing: without it a user needs auth.jwt_secret to come with a JSON Web Token");
        }
        let access = access(table);
        let forward = self.forward(table, upstream);
        table.finish();
        Some(User { name: name?.into(), bcrypt, access: Arc::new(access?), forward })
    }

    /// A secret that stands in the file, in another one, or in the environment. An empty inline one is the same as none.
    fn secret(&mut self, section: &mut Section<'_, '_>, [inline, file, env]: [&'static str; 3]) -> Option<String> {
        let given: Vec<_> = [inline, file, env].into_iter().filter(|key| section.has(key)).collect();
        // An inline `""` is how the default configuration writes "none"; it excludes nothing.
        let here = section.parsed(inline, |text| if text.is_empty() { Ok(String::new()) } else { token_text(text) });
        let path = section.parsed(file, not_empty);
        let variable = section.parsed(env, not_empty);
        let real = given.len() - usize::from(here.as_deref() == Some("") && given.len() > 1);
        if real > 1 {
            section.problem(
                given.last().copied().unwrap_or(inline),
                format!("only one of `{inline}`, `{file}` and `{env}` may stand"),
            );
            return None;
        }
        if let Some(path) = path {
            self.files.push(path.clone().into());
            return match (self.around.file)(Path::new(&path)).map(|text| token_text(text.trim_end_matches(['\r', '\n']))) {
                Ok(Ok(secret)) => Some(secret),
                Ok(Err(problem)) => {
                    section.problem(file, format!("{path:?}: {problem}"));
                    None
                }
                Err(error) => {
                    section.problem(file, format!("can't read {path:?}: {error}"));
                    None
                }
            };
        }
        if let Some(variable) = variable {
            return match (self.around.env)(&variable).as_deref().map(token_text) {
                Some(Ok(secret)) => Some(secret),
                Some(Err(problem)) => {
                    section.problem(env, format!("the environment variable {variable:?}: {problem}"));
                    None
                }
                None => {
                    section.problem(env, format!("there is no environment variable {variable:?}"));
                    None
                }
            };
        }
        here
    }
}

fn access(table: &mut Section<'_, '_>) -> Option<Access> {
    let access = table.get("access", |value| match value {
        toml::de::DeValue::String(word) if word == "all" => Ok(Access::All),
        toml::de::DeValue::Array(_) => Ok(Access::Grants(Vec::new())),
        other => Err(wrong("\"all\" or [{ bucket = \"…\", read = true, write = true }]", other)),
    });
    if !table.has("access") {
        table.problem("access", "is missing: \"all\", or [{ bucket = \"…\", read = true, write = true }]");
    }
    match access {
        Some(Access::Grants(_)) => Some(Access::Grants(grants(table))),
        other => other,
    }
}

fn grants(table: &mut Section<'_, '_>) -> Vec<Grant> {
    let mut items = table.sections("access");
    if items.is_empty() {
        table.problem("access", "an empty list allows nothing");
    }
    items
        .iter_mut()
        .filter_map(|item| {
            let bucket = item.parsed("bucket", not_empty);
            let read = item.boolean("read").unwrap_or(false);
            let write = item.boolean("write").unwrap_or(false);
            if !item.has("bucket") {
                item.problem("bucket", "is missing");
            } else if !read && !write {
                item.problem("bucket", "neither `read` nor `write` is true: this allows nothing");
            }
            item.finish();
            Some(Grant { bucket: bucket?.into(), read, write })
        })
        .collect()
}

fn compat(section: &mut Section<'_, '_>) -> Compat {
    let default = Compat::default();
    Compat {
        profile: section
            .choice("profile", &[("serverless", Profile::Serverless), ("v1", Profile::V1)])
            .unwrap_or(default.profile),
        version: section.parsed("version", header_text).map_or(default.version, String::into_boxed_str),
        build: section.parsed("build", header_text).map_or(default.build, String::into_boxed_str),
        passthrough: section.boolean("passthrough").unwrap_or(default.passthrough),
    }
}

fn guard(section: &mut Section<'_, '_>) -> Guard {
    let words = [("reject", Policy::Reject), ("ack", Policy::Ack), ("forward", Policy::Forward)];
    let with_provision = [words.as_slice(), &[("provision", Policy::Provision)]].concat();
    let mut policy = |key| {
        // For those verbs with which databases and retention policies are made, changed and dropped.
        let words = if matches!(key, "alter" | "create" | "drop") { with_provision.as_slice() } else { &words };
        section.choice(key, words)
    };
    Guard {
        select_into: policy("select_into"),
        create: policy("create"),
        delete: policy("delete"),
        drop: policy("drop"),
        grant: policy("grant"),
        explain: policy("explain"),
        revoke: policy("revoke"),
        alter: policy("alter"),
        set: policy("set"),
        kill: policy("kill"),
    }
}

fn dbrp(root: &mut Section<'_, '_>, profile: Profile, backend: &Backend, guard: Guard) -> Dbrp {
    let default = Dbrp::default();
    let mut section = root.section("dbrp_defaults");
    let template =
        section.parsed("template", |text| bucket_template(text, &["{db}"])).map_or(default.template, String::into_boxed_str);
    let template_rp = section
        .parsed("template_rp", |text| bucket_template(text, &["{db}", "{rp}"]))
        .map_or(default.template_rp, String::into_boxed_str);
    let auto_create = section.boolean("auto_create").unwrap_or(default.auto_create);
    let source = section.choice("source", &[("upstream", Source::Upstream), ("config", Source::Config)]);
    let refresh = section.duration("refresh").unwrap_or(default.refresh);
    if source == Some(Source::Config) {
        if matches!(backend, Backend::Embedded(_)) {
            section.problem("source", "the embedded store keeps its own mappings: \"config\" is for upstreams");
        }
        if [guard.create, guard.alter, guard.drop].contains(&Some(Policy::Provision)) {
            section.problem("source", "\"config\" asks the upstream for nothing, and guard says \"provision\", which does");
        }
    }
    section.finish();

    let mut mappings: Vec<Mapping> = Vec::new();
    let mut named_default: Vec<Box<str>> = Vec::new();
    for mut table in root.sections("dbrp") {
        let database = table.parsed("database", |text| name(text, profile));
        let retention_policy = table.parsed("retention_policy", not_empty).unwrap_or_else(|| "autogen".into());
        let bucket = table.parsed("bucket", |text| name(text, profile));
        let default = table.boolean("default");
        for key in ["database", "bucket"] {
            if !table.has(key) {
                table.problem(key, "is missing");
            }
        }
        table.finish();
        let (Some(database), Some(bucket)) = (database, bucket) else { continue };
        if mappings.iter().any(|other| *other.database == *database && *other.retention_policy == *retention_policy) {
            table.problem("retention_policy", format!("{database:?} has a mapping for {retention_policy:?} already"));
            continue;
        }
        if default == Some(true) {
            if named_default.iter().any(|other| **other == *database) {
                table.problem("default", format!("{database:?} has a default already"));
            }
            // It takes the place of the first mapping, which is the default as long as none is named.
            mappings.iter_mut().filter(|other| *other.database == *database).for_each(|other| other.default = false);
            named_default.push(database.as_str().into());
        }
        let first = !mappings.iter().any(|other| *other.database == *database);
        mappings.push(Mapping {
            default: default.unwrap_or(first),
            database: database.into(),
            retention_policy: retention_policy.into(),
            bucket: bucket.into(),
            retention: None,
            ..Mapping::default()
        });
    }
    Dbrp { mappings: mappings.into(), template, template_rp, auto_create, source: source.unwrap_or_default(), refresh }
}

/// Only what was authorized here may be acknowledged, and only with the upstream's own token can it be delivered later.
fn spool(root: &mut Section<'_, '_>, backend: &Backend, auth: &Auth) -> Spool {
    let default = Spool::default();
    let mut section = root.section("spool");
    let spool = Spool {
        dir: section.string("dir").filter(|dir| !dir.is_empty()).map(PathBuf::from),
        max_bytes: section.bytes("max_bytes", 1 << 20..=i64::MAX as u64).unwrap_or(default.max_bytes),
        max_age: section.duration("max_age").unwrap_or(default.max_age),
    };
    if spool.dir.is_some() {
        match backend {
            Backend::Embedded(_) => section.problem("dir", "a spool stands before an upstream, and backend.kind is \"embedded\""),
            Backend::Upstream(upstream) if upstream.token.as_ref().is_none_or(|token| token.expose().is_empty()) => {
                section.problem("dir", "a spool delivers with the upstream's own token: set upstream.token_file");
            }
            Backend::Upstream(_) => {}
        }
        if auth.mode != AuthMode::Local {
            section.problem("dir", "a spool acknowledges what the upstream hasn't seen: it needs auth.mode = \"local\"");
        }
        if let Some(token) = auth.tokens.iter().find(|token| token.forward.is_some()) {
            section.problem(
                "dir",
                format!(
                    "a spool delivers with the upstream's own token, and [[auth.token]] {:?} has another one in `forward`",
                    token.name
                ),
            );
        }
    }
    section.finish();
    spool
}

fn limits(section: &mut Section<'_, '_>) -> Limits {
    let default = Limits::default();
    let most = i64::MAX as u64;
    Limits {
        body: section.bytes("body", 1..=most).unwrap_or(default.body),
        decompressed: section.bytes("decompressed", 1..=most).unwrap_or(default.decompressed),
        query: size(section.bytes("query", 1..=most), default.query),
        query_depth: size(section.count("query_depth", 1..=1_000), default.query_depth),
        query_timeout: section.duration("query_timeout").unwrap_or(default.query_timeout),
        write_timeout: section.duration("write_timeout").unwrap_or(default.write_timeout),
        query_memory: size(section.bytes("query_memory", 1 << 20..=most), default.query_memory),
        concurrent_queries: size(section.count("concurrent_queries", 1..=1_000_000), default.concurrent_queries),
    }
}

fn size(value: Option<u64>, default: usize) -> usize {
    value.and_then(|value| usize::try_from(value).ok()).unwrap_or(default)
}

fn count(value: Option<u64>, default: u32) -> u32 {
    value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default)
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("is empty".into()) } else { Ok(text.to_owned()) }
}

/// One address or several.
fn listen(section: &mut Section<'_, '_>) -> Option<Vec<Listen>> {
    let one = |text: &str| match text.strip_prefix("unix:") {
        Some("") => Err("expected a path behind \"unix:\"".to_owned()),
        Some(path) => Ok(Listen::Unix(path.into())),
        None => address(text).map(Listen::Tcp),
    };
    let all = section.strings("listen", one)?;
    let again = all.iter().enumerate().find(|(n, listen)| {
        // Port 0 is another one each time.
        !matches!(listen, Listen::Tcp(address) if address.port() == 0) && all.iter().take(*n).any(|other| other == *listen)
    });
    match again {
        _ if all.is_empty() => section.problem("listen", "an empty list: nobody could get in"),
        Some((_, listen)) => section.problem("listen", format!("\"{listen}\" stands twice")),
        None => return Some(all),
    }
    None
}

/// `host:port` with a literal address; `localhost` is spared the resolver.
fn address(text: &str) -> Result<SocketAddr, String> {
    let port = |text: &str| text.parse::<u16>().ok();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(port) = text.strip_prefix("localhost:").and_then(port) {
        return Ok(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port));
    }
    Err(match text.strip_prefix(':').and_then(port) {
        Some(port) => {
            format!("{text:?} names no address: \"127.0.0.1:{port}\" is this machine alone, \"0.0.0.0:{port}\" is everybody")
        }
        None => format!("expected an address such as \"127.0.0.1:8086\", found {text:?}"),
    })
}

/// A filter of `tracing-subscriber`.
fn log_filter(text: &str) -> Result<Box<str>, String> {
    match tracing_subscriber::EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.into()),
        Err(error) => Err(format!("expected a filter such as \"info,v1shim=debug\", found {text:?} ({error})")),
    }
}

/// Where an upstream is. A user name or password there would end up in logs.
fn url(text: &str) -> Result<http::Uri, String> {
    let wrong = |why: &str| format!("{why}, found {text:?}");
    if text.contains('@') {
        return Err("credentials don't belong in the address: use `token`, `token_file` or `token_env`".into());
    }
    let uri: http::Uri = text.parse().map_err(|_| wrong("expected an address such as \"http://127.0.0.1:8181\""))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.authority().is_some() => {}
        _ => return Err(wrong("expected an address that begins with http:// or https://")),
    }
    if uri.query().is_some() { Err(wrong("expected an address without a query")) } else { Ok(uri) }
}

/// What may stand in a header.
fn header_text(text: &str) -> Result<String, String> {
    match http::HeaderValue::from_str(text) {
        Ok(value) if !value.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("expected printable ASCII, found {text:?}")),
    }
}

/// A database or a bucket. The profile `serverless` takes no more than 64 characters.
fn name(text: &str, profile: Profile) -> Result<String, String> {
    let length = text.chars().count();
    if length == 0 || (profile == Profile::Serverless && length > 64) {
        return Err(format!("a name has 1 to 64 characters, {text:?} has {length}"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{text:?} has characters that can't be printed"));
    }
    Ok(text.to_owned())
}

/// A bucket's name with placeholders.
fn bucket_template(text: &str, placeholders: &[&str]) -> Result<String, String> {
    let rest = placeholders.iter().fold(text.to_owned(), |rest, placeholder| rest.replace(placeholder, ""));
    if !text.contains("{db}") {
        return Err(format!("{text:?} has no {{db}}: all databases would share a bucket"));
    }
    if rest.contains(['{', '}']) {
        return Err(format!("expected no other placeholder than {}, found {text:?}", placeholders.join(" and ")));
    }
    Ok(text.to_owned())
}

/// A token as it can come in a header or a URL. Never quoted in the message.
fn token_text(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("is empty".into())
    } else if text.chars().any(char::is_control) {
        Err("has control characters, which no request could bring".into())
    } else {
        Ok(text.to_owned())
    }
}

/// A hash as `htpasswd -B` and 1.x write it. A cost beyond 14 is a second and more for each first request.
fn bcrypt_hash(text: &str) -> Result<Box<str>, String> {
    let wrong = || "expected a bcrypt hash such as `htpasswd -nbB` prints, beginning with \"$2\"".to_owned();
    let parts = text.parse::<bcrypt::HashParts>().map_err(|_| wrong())?;
    match parts.get_cost() {
        4..=14 => Ok(text.into()),
        cost => Err(format!("expected a cost from 4 to 14, found {cost}")),
    }
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, n) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(n..n + 2)?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests;
