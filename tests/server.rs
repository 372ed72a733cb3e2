//! The program as a whole: how it starts and ends, reloads, and what it does with clients that don't behave.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, Version, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;

use crate::support::TestServer;

/// Waits for something that takes a moment.
#[track_caller]
fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !check() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn the_first_start_makes_a_token_and_says_how_to_use_it() {
    let mut server = TestServer::start();
    assert_eq!(server.output()[0], "made an all-access token: data/admin.token");
    assert!(server.output()[1].starts_with("try it: curl -u \":$(cat data/admin.token)\" "), "{:?}", server.output());
    let token = server.token();
    assert!(!server.log().contains(&token));

    server.post("/write?db=first", "m v=1 1").await.expect(204);
    // The line that it printed, as it stands.
    let line = server.output()[1].strip_prefix("try it: ").unwrap().replace("curl ", "curl -s ");
    let curl = Command::new("sh").args(["-c", &line]).current_dir(server.dir()).output().unwrap();
    let answer = String::from_utf8(curl.stdout).unwrap();
    assert!(answer.contains(r#""values":[["first"]]"#), "{answer} {line}");

    server.start_again();
    assert_eq!((server.token(), server.output().len()), (token, 1), "made once");
    server.get("/query?q=SHOW+DATABASES").await.expect(200);
}

#[tokio::test]
async fn nobody_gets_in_without_a_credential() {
    let server = TestServer::start();
    for (method, path, status) in [
        (Method::GET, "/query?q=SHOW+DATABASES", 401),
        (Method::POST, "/write?db=a", 401),
        (Method::POST, "/api/v3/write_lp?db=a", 401),
        (Method::GET, "/api/v2/buckets", 401),
        (Method::GET, "/metrics", 401),
        (Method::GET, "/", 401),
        (Method::GET, "/ping", 204),
        (Method::HEAD, "/ping", 204),
        (Method::GET, "/health", 200),
        (Method::OPTIONS, "/write", 200),
    ] {
        let mut request = server.request(method.clone(), path, "");
        request.headers_mut().remove(header::AUTHORIZATION);
        let reply = server.send(request).await.expect(status);
        assert_eq!(reply.header("x-influxdb-version"), "1.8.10", "{method} {path}");
        assert_eq!(reply.header("request-id"), reply.header("x-request-id"), "{method} {path}");
        assert_eq!(reply.header("request-id").len(), 36, "{method} {path}");
        assert_eq!(reply.header("www-authenticate").is_empty(), status != 401, "{method} {path}");
    }
}

#[tokio::test]
async fn what_was_written_is_read() {
    let server = TestServer::start();
    server.post("/write?db=home", "temp,room=kitchen celsius=21.5 1000000000").await.expect(204);
    let reply = server.get("/query?db=home&q=SELECT+*+FROM+temp&epoch=s").await.expect(200);
    let series = json!([{ "name": "temp", "columns": ["time", "celsius", "room"], "values": [[1, 21.5, "kitchen"]] }]);
    assert_eq!(reply.json(), json!({ "results": [{ "statement_id": 0, "series": series }] }));
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_reload_takes_what_is_valid_and_keeps_what_was() {
    let mut server = TestServer::builder().config("[auth]\nmode = \"none\"").start();
    assert_eq!(server.get("/ping").await.header("x-influxdb-version"), "1.8.10");

    server.reconfigure("listen_more = 1", "[auth]\nmode = \"none\"\n[compat]\nversion = \"9.9.9\"");
    eventually("the mistake is logged", || server.log().contains("line 3: server.listen_more: unknown key"));
    assert_eq!(server.get("/ping").await.header("x-influxdb-version"), "1.8.10");

    // Contents alone do it.
    server.reconfigure("", "[auth]\nmode = \"none\"\n[compat]\nversion = \"9.9.9\"");
    eventually("reloaded", || server.log().contains("configuration reloaded"));
    assert_eq!(server.get("/ping").await.header("x-influxdb-version"), "9.9.9");

    server.reconfigure("", "[auth]\nmode = \"none\"\n[compat]\nversion = \"7.7.7\"\n[embedded]\ndata_dir = \"other\"");
    server.signal("HUP");
    eventually("what waits is named", || server.log().contains("these wait for a restart: embedded.data_dir"));
    assert_eq!(server.get("/ping").await.header("x-influxdb-version"), "7.7.7");
}

#[tokio::test]
async fn a_token_in_a_file_can_be_exchanged() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("token"), "old\n").unwrap();
    let config = "[[auth.token]]\nname = \"a\"\nfile = \"token\"\naccess = \"all\"\n";
    let server = TestServer::builder().dir(dir.path()).config(config).start();
    assert!(!dir.path().join("data/admin.token").exists(), "there is a token");
    server.get("/query?q=SHOW+DATABASES&p=old").await.expect(200);
    server.get("/query?q=SHOW+DATABASES&p=new").await.expect(401);
    fs::write(dir.path().join("token"), "new\n").unwrap();
    eventually("reloaded", || server.log().contains("configuration reloaded"));
    server.get("/query?q=SHOW+DATABASES&p=new").await.expect(200);
    server.get("/query?q=SHOW+DATABASES&p=old").await.expect(401);
    assert!(!server.log().contains("p=old"));
}

#[test]
fn a_bad_configuration_is_told_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proxy.toml");
    fs::write(&path, "[server]\nlisten = \"x\"\n[auht]\n[backend]\nkind = \"cloud\"\n").unwrap();
    for arguments in [vec!["--check"], vec![]] {
        let output = Command::new(env!("CARGO_BIN_EXE_v1shim"))
            .args(&arguments)
            .arg("--config")
            .arg("proxy.toml")
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(78));
        let text = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("proxy.toml: line 2: server.listen: "), "{text}");
        assert!(lines[1].starts_with("proxy.toml: line 3: auht: unknown section, did you mean `auth`?"), "{text}");
        assert!(lines[2].starts_with("proxy.toml: line 5: backend.kind: unknown value \"cloud\""), "{text}");
    }
    fs::write(&path, "").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_v1shim")).args(["--check", "--config"]).arg(&path).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"the configuration is fine\n"[..]));
}

#[test]
fn one_address_one_server() {
    let server = TestServer::start();
    let listen = format!("[server]\nlisten = \"127.0.0.1:{}\"\n", server.port());
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("proxy.toml"), listen).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_v1shim")).args(["--config", "proxy.toml"]).current_dir(dir.path()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("v1shim: can't listen on 127.0.0.1:{}: ", server.port())), "{text}");
    assert!(!dir.path().join("data").exists(), "nothing was begun");
}

/// A connection on which a test says what it likes.
fn raw(server: &TestServer, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the server ends it");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn who_says_nothing_is_let_go() {
    let server = TestServer::builder().server("header_timeout = \"300ms\"\nidle_timeout = \"600ms\"").start();
    let started = Instant::now();
    assert_eq!(rest(raw(&server, "")), "", "not a word");
    assert_eq!(rest(raw(&server, "GET /ping HTTP/1.1\r\nHost:")), "", "half a header");
    // A connection that was used is let go after a while without requests.
    let answer = rest(raw(&server, "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
}

#[test]
fn a_body_that_stalls_is_an_error() {
    let server = TestServer::builder().server("idle_timeout = \"300ms\"").start();
    let head = format!(
        "POST /write?db=a HTTP/1.1\r\nHost: x\r\nAuthorization: Token {}\r\nContent-Length: 100\r\n\r\nm v=1",
        server.token()
    );
    let answer = rest(raw(&server, &head));
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("stalled"), "{answer}");
}

/// Head and body of an answer; it has what all answers have.
#[track_caller]
fn refused(answer: &str, status: u16) -> String {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let field = |name: &str| {
        let mut values = head.lines().filter_map(|line| line.split_once(": ")).filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let value = values.next().unwrap_or_else(|| panic!("no {name}: {answer}")).1.to_owned();
        assert!(values.next().is_none(), "two {name}: {answer}");
        value
    };
    assert_eq!((field("x-influxdb-version").as_str(), field("x-influxdb-build").as_str()), ("1.8.10", "OSS"));
    assert_eq!((field("request-id").len(), field("request-id")), (36, field("x-request-id")));
    assert_eq!((field("content-type").as_str(), field("content-length")), ("application/json", body.len().to_string()));
    assert!(!field("date").is_empty());
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["error"], &body["code"]), (&body["message"], &json!("invalid")));
    assert_eq!(field("x-influxdb-error"), body["error"].as_str().unwrap());
    body["error"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_no_request_is_refused_in_the_same_form() {
    let server = TestServer::builder().server("max_header_bytes = \"8KiB\"").start();
    let long = "x".repeat(20_000);
    let fields = (0..120).fold(String::new(), |fields, n| fields + &format!("X-{n}: x\r\n"));
    for (status, text, word) in [
        (431, format!("GET /ping HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"), "8192 bytes"),
        (431, format!("GET /ping HTTP/1.1\r\nHost: x\r\n{fields}\r\n"), "100 fields"),
        (400, "what is this?\r\n\r\n".to_owned(), "malformed"),
        (400, "\0\x01\x02\r\n\r\n".to_owned(), "malformed"),
        (400, "GET /ping HTTP/9.9\r\n\r\n".to_owned(), "malformed"),
        (400, "GET /ping HTTP/1.1\r\nHo st: x\r\n\r\n".to_owned(), "malformed"),
        (400, "POST /write?db=a HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n".to_owned(), "malformed"),
        (400, "POST /write?db=a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: what\r\n\r\n".to_owned(), "malformed"),
    ] {
        let answer = rest(raw(&server, &text));
        let message = refused(&answer, status);
        assert!(message.contains(word), "{message} {text:.100}");
    }
    let answer = rest(raw(&TestServer::start(), &format!("GET /ping?{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(70_000))));
    assert!(refused(&answer, 414).contains("64 KiB"));

    // After answers of ours on the same connection, sent in one piece too.
    let answer = rest(raw(&server, "GET /ping HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\nwhat?\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 204") && answer.contains("HTTP/1.1 200"), "{answer}");
    refused(&answer[answer.find("HTTP/1.1 400").unwrap()..], 400);
    // All are counted in the log, with their ids.
    eventually("logged", || server.log().lines().filter(|line| line.contains("malformed HTTP request")).count() == 7);
}

#[test]
fn a_body_that_isnt_chunked_as_it_says_is_refused() {
    let server = TestServer::start();
    let head = format!("POST /write?db=a HTTP/1.1\r\nHost: x\r\nAuthorization: Token {}\r\n", server.token());
    let answer = rest(raw(&server, &format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\nm v=1\r\n0\r\n\r\n")));
    assert!(refused(&answer, 400).contains("breaks off"), "{answer}");
}

#[tokio::test]
async fn headers_have_a_limit_in_http2_too() {
    let server = TestServer::builder().server("max_header_bytes = \"8KiB\"").start();
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    let mut request = server.request(Method::GET, "/ping", "");
    request.headers_mut().insert("x-long", "x".repeat(10_000).parse().unwrap());
    let response = client.request(request).await.unwrap();
    assert_eq!(response.status(), 431);
    assert_eq!(
        (&response.headers()["x-influxdb-version"], response.headers()["request-id"].len()),
        (&"1.8.10".parse().unwrap(), 36)
    );
}

#[test]
fn connections_have_a_limit() {
    let server = TestServer::builder().server("max_connections = 2").start();
    let hold: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = raw(&server, "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
            let mut start = [0; 12];
            stream.read_exact(&mut start).unwrap();
            stream
        })
        .collect();
    let mut third = raw(&server, "GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.read(&mut [0; 12]).is_err(), "it waits");
    third.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    drop(hold);
    assert!(rest(third).starts_with("HTTP/1.1 204"), "and gets its turn");
}

#[test]
fn open_requests_are_finished_before_the_end() {
    let mut server = TestServer::start();
    let body = "m v=1 1";
    let head = format!(
        "POST /write?db=a HTTP/1.1\r\nHost: x\r\nAuthorization: Token {}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        server.token(),
        body.len()
    );
    let mut open = raw(&server, &head);
    let mut answer = [0; 25];
    open.read_exact(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 100"));
    let idle = raw(&server, "");
    server.signal("TERM");
    assert_eq!(rest(idle), "", "who has said nothing goes at once");
    eventually("it listens no more", || TcpStream::connect(("127.0.0.1", server.port())).is_err());
    open.write_all(body.as_bytes()).unwrap();
    let answer = rest(open);
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(server.wait().success());
    assert!(!server.log().contains("cut off"));
}

#[test]
fn the_grace_has_an_end() {
    let mut server = TestServer::builder().server("shutdown_grace = \"300ms\"").start();
    let head = format!(
        "POST /write?db=a HTTP/1.1\r\nHost: x\r\nAuthorization: Token {}\r\nContent-Length: 100\r\n\r\nm v=1",
        server.token()
    );
    let open = raw(&server, &head);
    std::thread::sleep(Duration::from_millis(200));
    let started = Instant::now();
    assert!(server.stop().success());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(server.log().contains("cut off"));
    drop(open);
}

#[tokio::test]
async fn metrics_are_on_a_listener_of_their_own() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = TestServer::builder().server(&format!("metrics_listen = \"127.0.0.1:{port}\"")).start();
    server.post("/write?db=a", "m v=1 1").await.expect(204);
    server.post("/write?db=", "m v=1 1").await.expect(400);
    let lines = [
        "v1shim_requests_total{call=\"write\",status=\"204\"} 1",
        "v1shim_requests_total{call=\"write\",status=\"400\"} 1",
        // The connections of both writes end a moment after their answers.
        "v1shim_connections_open 0",
        "v1shim_requests_open 0",
        "v1shim_request_duration_seconds_count{call=\"write\"} 2",
        "v1shim_write_bytes_total 7",
    ];
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let request = Request::get(format!("http://127.0.0.1:{port}/metrics")).body(Full::default()).unwrap();
        let text = server.send(request).await.expect(200).text();
        match lines.iter().find(|line| !text.lines().any(|found| found == **line)) {
            None => break,
            Some(line) => assert!(Instant::now() < end, "{line}\n{text}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn logs_have_neither_secrets_nor_whole_queries() {
    let server = TestServer::builder().server("log = \"trace\"\nlog_format = \"json\"").start();
    let token = server.token();
    let long = "x".repeat(5000);
    server.get(&format!("/query?db=a&u=me&p={token}&q=SELECT+{long}+FROM+m")).await;
    server.get("/query?db=a&q=CREATE+USER+a+WITH+PASSWORD+%27hidden-1%27").await;
    server.get("/query?db=a&p=hidden-2&q=SELECT+1").await;
    let mut request = server.request(Method::POST, "/write?db=a", "m secret=\"hidden-3\" 1");
    request.headers_mut().insert(header::AUTHORIZATION, "Basic aGlkZGVuLTQ6aGlkZGVuLTU=".parse().unwrap());
    server.send(request).await;
    eventually("all four are logged", || server.log().lines().filter(|line| line.contains("v1shim::access")).count() == 4);
    let log = server.log();
    for secret in [token.as_str(), "hidden-", "aGlkZGVuL", &long] {
        assert!(!log.contains(secret), "{secret}\n{log}");
    }
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

/// A new certificate for 127.0.0.1 in `dir`.
fn certify(dir: &std::path::Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    // The key first: for a moment they don't belong together, and nothing may come of it.
    fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
}

/// `/ping` over TLS with this root; the HTTP version that was agreed on.
async fn ping_tls(server: &TestServer, root: &CertificateDer<'static>) -> Result<Version, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_all_versions().build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
    let request = Request::get(format!("{}/ping", server.url())).body(Full::default()).unwrap();
    let response = client.request(request).await.map_err(|error| format!("{error:?}"))?;
    assert_eq!(response.status(), 204);
    Ok(response.version())
}

#[tokio::test]
async fn certificates_can_be_exchanged_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let old = certify(dir.path());
    let tls = "[server.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"";
    let server = TestServer::builder().dir(dir.path()).config(tls).start();
    assert_eq!(ping_tls(&server, &old).await, Ok(Version::HTTP_2), "by ALPN");
    let new = certify(dir.path());
    eventually("reloaded", || server.log().contains("configuration reloaded"));
    assert_eq!(ping_tls(&server, &new).await, Ok(Version::HTTP_2));
    assert!(ping_tls(&server, &old).await.is_err());
    // A key that isn't this certificate's changes nothing.
    fs::copy(dir.path().join("cert.pem"), dir.path().join("kept.pem")).unwrap();
    certify(dir.path());
    fs::copy(dir.path().join("kept.pem"), dir.path().join("cert.pem")).unwrap();
    eventually("refused", || server.log().contains("server.tls.key: "));
    assert_eq!(ping_tls(&server, &new).await, Ok(Version::HTTP_2));
}

#[tokio::test]
async fn http2_by_prior_knowledge() {
    let server = TestServer::start();
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    let response = client.request(server.request(Method::POST, "/write?db=a", "m v=1 1")).await.unwrap();
    assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 204));
    // Several at once on one connection.
    let queries = (0..20).map(|_| client.request(server.request(Method::GET, "/query?db=a&q=SELECT+v+FROM+m&epoch=ns", "")));
    for response in futures_util::future::join_all(queries).await {
        let body = response.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(r#""values":[[1,1]]"#), "{body:?}");
    }
}

#[tokio::test]
async fn answers_are_gzipped_for_those_who_take_it() {
    let server = TestServer::start();
    let lines: String = (0..1000).map(|n| format!("m v={n} {n}\n")).collect();
    server.post("/write?db=a", lines).await.expect(204);
    let path = "/query?db=a&q=SELECT+v+FROM+m&epoch=ns";
    let plain = server.get(path).await.expect(200);
    assert_eq!(plain.header("content-encoding"), "");
    let mut request = server.request(Method::GET, path, "");
    request.headers_mut().insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
    let packed = server.send(request).await.expect(200);
    assert_eq!((packed.header("content-encoding"), packed.header("vary")), ("gzip", "Accept-Encoding"));
    assert!(packed.body.len() < plain.body.len() / 2);
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.text());
}

#[test]
fn a_client_that_stops_reading_is_cut_off() {
    let server = TestServer::builder().server("idle_timeout = \"500ms\"\nlog = \"debug\"").start();
    let lines: String = (0..50_000).map(|n| format!("m v={n},w=\"{n:0100}\" {n}\n")).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(server.post("/write?db=a", lines)).expect(204);
    let query =
        format!("GET /query?db=a&q=SELECT+*+FROM+m HTTP/1.1\r\nHost: x\r\nAuthorization: Token {}\r\n\r\n", server.token());
    let stream = raw(&server, &query);
    eventually("its answer is over", || {
        server.log().lines().any(|line| line.contains("v1shim::access") && line.contains("complete=false"))
    });
    drop(stream);
}

#[tokio::test]
async fn it_listens_on_a_socket_too_and_finds_its_place_again() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut server = TestServer::builder().also_listen("unix:shim.sock").start();
    let path = server.dir().join("shim.sock");
    let ask = async || {
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    server.get("/ping").await.expect(204);
    assert!(ask().await.starts_with("HTTP/1.1 204 "));
    // Killed, it leaves its socket behind.
    server.kill();
    assert!(path.exists());
    server.start_again();
    assert!(ask().await.starts_with("HTTP/1.1 204 "));
    assert!(server.stop().success());
    assert!(!path.exists());
}
