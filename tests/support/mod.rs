//! The real program under test: started on a free port in a directory of its own, asked over HTTP, killed and started again.
//!
//! ```ignore
//! let server = TestServer::start();
//! server.post("/write?db=a", "cpu v=1 1").await.expect(204);
//! let answer = server.get("/query?db=a&q=SELECT+*+FROM+cpu").await.expect(200).json();
//! ```

// Each module of tests uses its share.
#![allow(dead_code)]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tempfile::TempDir;

/// How long a start may take; the log of a test's store is short.
const START: Duration = Duration::from_secs(30);

/// What is to be started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    server: String,
    config: String,
    env: Vec<(String, String)>,
    dir: Option<PathBuf>,
    also: Option<String>,
}

impl Builder {
    /// Lines of `[server]`; `listen` is already there.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        self.server.push_str(lines);
        self.server.push('\n');
        self
    }

    /// Another place to listen on.
    pub(crate) fn also_listen(mut self, listen: &str) -> Self {
        self.also = Some(listen.to_owned());
        self
    }

    /// Other tables.
    pub(crate) fn config(mut self, text: &str) -> Self {
        self.config.push_str(text);
        self.config.push('\n');
        self
    }

    /// An environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A working directory that is kept, instead of a new one.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(self) -> TestServer {
        self.try_start().unwrap_or_else(|log| panic!("the server didn't start:\n{log}"))
    }

    /// Starts it, or says what it said when it ended instead.
    pub(crate) fn try_start(self) -> Result<TestServer, String> {
        let own = self.dir.is_none().then(|| Arc::new(tempfile::tempdir().expect("a temporary directory")));
        let dir = self.dir.clone().or_else(|| own.as_ref().map(|own| own.path().to_owned())).expect("one of both");
        let mut server =
            TestServer { builder: self, _own: own, dir, listen: 0, port: 0, tls: false, child: None, output: Vec::new() };
        server.launch()?;
        Ok(server)
    }
}

/// The program, running (or killed). It ends with this value.
#[derive(Debug)]
pub(crate) struct TestServer {
    builder: Builder,
    _own: Option<Arc<TempDir>>,
    dir: PathBuf,
    /// What the configuration says: 0 until it is started again.
    listen: u16,
    port: u16,
    tls: bool,
    child: Option<Child>,
    output: Vec<String>,
}

impl TestServer {
    /// Starts it with nothing configured but a free port.
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http{}://127.0.0.1:{}", if self.tls { "s" } else { "" }, self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The working directory: `proxy.toml`, `log` (standard error) and, unless configured elsewhere, `data` are there.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it printed before it listened.
    pub(crate) fn output(&self) -> &[String] {
        &self.output
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// The token of the first start.
    pub(crate) fn token(&self) -> String {
        let path = self.dir.join("data/admin.token");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.trim_end().to_owned()
    }

    /// The token, when the first start made one.
    fn try_token(&self) -> Option<String> {
        self.dir.join("data/admin.token").exists().then(|| self.token())
    }

    /// Writes `proxy.toml` anew, for a reload.
    pub(crate) fn reconfigure(&mut self, server: &str, config: &str) {
        self.builder.server = format!("{server}\n");
        self.builder.config = format!("{config}\n");
        self.write_config();
    }

    /// `kill -9`
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal: `TERM`, `HUP`, …
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        let status = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status().expect("sh");
        assert!(status.success(), "kill -s {name} {pid}");
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.take().expect("it runs").wait().expect("an exit status")
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Starts it again on the same port, after [`kill`](Self::kill) or [`stop`](Self::stop).
    pub(crate) fn start_again(&mut self) {
        self.kill();
        self.listen = self.port;
        self.launch().unwrap_or_else(|log| panic!("the server didn't start again:\n{log}"));
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path, "")).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Reply {
        self.send(self.request(Method::POST, path, body)).await
    }

    /// A request with the token of the first start, if there is one.
    pub(crate) fn request(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        let mut builder = Request::builder().method(method).uri(format!("{}{path}", self.url()));
        if let Some(token) = self.try_token() {
            builder = builder.header(header::AUTHORIZATION, format!("Token {token}"));
        }
        builder.body(Full::new(body.into())).expect("a request")
    }

    /// Sends it on a connection of its own.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        self.try_send(request).await.unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// The same, when it may fail.
    pub(crate) async fn try_send(&self, request: Request<Full<Bytes>>) -> Result<Reply, String> {
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http::<Full<Bytes>>();
        let what = format!("{} {}", request.method(), request.uri());
        let response = client.request(request).await.map_err(|error| format!("{what}: {error:?}"))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| format!("{what}: {error:?}"))?.to_bytes();
        Ok(Reply { status: head.status, headers: head.headers, body, what })
    }

    fn write_config(&self) {
        let Builder { server, config, also, .. } = &self.builder;
        let listen = match also {
            Some(also) => format!("[\"127.0.0.1:{}\", \"{also}\"]", self.listen),
            None => format!("\"127.0.0.1:{}\"", self.listen),
        };
        let text = format!("[server]\nlisten = {listen}\n{server}\n{config}");
        fs::write(self.dir.join("proxy.toml"), text).expect("a configuration");
    }

    fn launch(&mut self) -> Result<(), String> {
        self.write_config();
        let log = fs::OpenOptions::new().create(true).append(true).open(self.dir.join("log")).expect("a log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_v1shim"))
            .args(["--config", "proxy.toml"])
            .current_dir(&self.dir)
            .envs(self.builder.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the program");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                if send.send(line.trim_end().to_owned()).is_err() {
                    // Nobody listens any more; what is still printed must not block it.
                    let _ = lines.read_to_end(&mut Vec::new());
                    return;
                }
                line.clear();
            }
        });
        self.child = Some(child);
        self.output.clear();
        let deadline = Instant::now() + START;
        loop {
            let Ok(line) = receive.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                self.kill();
                return Err(self.log());
            };
            let address = line.strip_prefix("listening on ").map(str::to_owned);
            self.output.push(line);
            if let Some(address) = address {
                self.tls = address.starts_with("https");
                self.port = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
                return Ok(());
            }
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- log of the server\n{}---", self.log());
        }
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    what: String,
}

impl Reply {
    /// Panics with the whole answer unless it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}\n{:?}\n{}", self.what, self.headers, self.text());
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{}: {error}\n{}", self.what, self.text()))
    }

    /// A header, empty if it isn't there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
