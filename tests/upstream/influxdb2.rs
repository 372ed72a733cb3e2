//! A real InfluxDB 2 below the shim: `V1SHIM_INFLUXD2=/path/to/influxd cargo test --test all influxdb2`. Without it these tests do nothing; what
//! the server answers is also recorded and replayed, see `recorded::influxdb2`.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

use crate::support::TestServer;

const ORG: &str = "my org";
const TOKEN: &str = "admintoken";

/// A server of its own, with nothing in it.
struct Influxd {
    child: Child,
    url: String,
    org: String,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
    _dir: tempfile::TempDir,
}

impl Influxd {
    /// None where there is no such server on this machine.
    async fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("V1SHIM_INFLUXD2").map(PathBuf::from) else {
            eprintln!("V1SHIM_INFLUXD2 names no influxd: not tested");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let path = |name: &str| dir.path().join(name);
        let child = Command::new(program)
            .args(["--reporting-disabled", "--log-level", "error", "--http-bind-address", &format!("127.0.0.1:{port}")])
            .arg("--bolt-path")
            .arg(path("bolt"))
            .arg("--engine-path")
            .arg(path("engine"))
            .arg("--sqlite-path")
            .arg(path("sqlite"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("V1SHIM_INFLUXD2 can be started");
        let client = Client::builder(TokioExecutor::new()).build_http();
        let url = format!("http://127.0.0.1:{port}");
        let mut server = Self { child, url, org: String::new(), client, _dir: dir };
        for _ in 0..300 {
            if server.client.get(format!("{}/health", server.url).parse().unwrap()).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let setup = json!({ "username": "admin", "password": "password1", "org": ORG, "bucket": "first", "token": TOKEN });
        let made = server.ask(Method::POST, "/api/v2/setup", Some(setup)).await;
        server.org = made["org"]["id"].as_str().unwrap().to_owned();
        Some(server)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Token {TOKEN}")).header("content-type", "application/json");
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let answer = self.client.request(request.body(Full::from(body)).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert!(head.status.is_success(), "{path}: {} {}", head.status, String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or_default()
    }

    async fn bucket(&self, name: &str) -> String {
        let body = json!({ "orgID": self.org, "name": name, "retentionRules": [] });
        self.ask(Method::POST, "/api/v2/buckets", Some(body)).await["id"].as_str().unwrap().to_owned()
    }

    async fn token(&self, permissions: &[(&str, &str, Option<&str>)]) -> String {
        let permission = |(action, kind, id): &(&str, &str, Option<&str>)| json!({ "action": action, "resource": { "type": kind, "orgID": self.org, "id": id } });
        let permissions: Vec<Value> = permissions.iter().map(permission).collect();
        let body = json!({ "orgID": self.org, "permissions": permissions });
        self.ask(Method::POST, "/api/v2/authorizations", Some(body)).await["token"].as_str().unwrap().to_owned()
    }

    /// `policy=bucket*` of a database, the explicit mappings alone.
    async fn mappings(&self, db: &str) -> Vec<String> {
        let buckets = self.ask(Method::GET, &format!("/api/v2/buckets?limit=100&orgID={}", self.org), None).await;
        let name = |id: &Value| {
            let bucket = buckets["buckets"].as_array().unwrap().iter().find(|bucket| bucket["id"] == *id);
            bucket.map_or("?", |bucket| bucket["name"].as_str().unwrap())
        };
        let rows = self.ask(Method::GET, &format!("/api/v2/dbrps?orgID={}&db={db}", self.org), None).await;
        let rows = rows["content"].as_array().unwrap().iter().filter(|row| row["virtual"] == false);
        let shown = rows.map(|row| {
            let star = if row["default"] == true { "*" } else { "" };
            format!("{}={}{star}", row["retention_policy"].as_str().unwrap(), name(&row["bucketID"]))
        });
        let mut shown: Vec<String> = shown.collect();
        shown.sort();
        shown
    }

    fn shim(&self, more: &str, auth: &str) -> TestServer {
        TestServer::builder()
            .config(&format!(
                "[backend]\nkind = \"upstream\"\n[upstream]\napi = \"v2\"\nurl = \"{}\"\norg = \"{ORG}\"\n{more}\n\
                 [compat]\nprofile = \"v1\"\n[guard]\ncreate = \"provision\"\nalter = \"provision\"\ndrop = \"provision\"\n\
                 delete = \"forward\"\n{auth}",
                self.url
            ))
            .start()
    }

    fn admin(&self) -> TestServer {
        self.shim(
            &format!("token = \"{TOKEN}\""),
            "[auth]\nmode = \"local\"\n[[auth.token]]\nname = \"a\"\ntoken = \"a\"\naccess = \"all\"",
        )
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn write(shim: &TestServer, target: &str, token: &str, lines: &str) -> (u16, String) {
    let request = Request::post(format!("{}/write?{target}", shim.url())).header("authorization", format!("Token {token}"));
    let answer = shim.send(request.body(Full::from(lines.to_owned())).unwrap()).await;
    (answer.status.as_u16(), answer.text())
}

/// The first statement's values, or its error.
async fn query(shim: &TestServer, target: &str, token: &str, q: &str) -> String {
    let form = form_urlencoded::Serializer::new(target.to_owned()).append_pair("q", q).append_pair("epoch", "ns").finish();
    let request = Request::post(format!("{}/query?{form}", shim.url())).header("authorization", format!("Token {token}"));
    let answer = shim.send(request.body(Full::default()).unwrap()).await;
    let text = answer.text();
    let Ok(document) = serde_json::from_str::<Value>(&text) else { panic!("{q}: {} {text}", answer.status) };
    let result = &document["results"][0];
    if let Some(error) = document["error"].as_str().or_else(|| result["error"].as_str()) {
        return format!("{} {error}", answer.status.as_u16());
    }
    assert_eq!(result["statement_id"], 0, "{q}: {text}");
    let series = result["series"].as_array().cloned().unwrap_or_default();
    series.iter().map(|series| series["values"].to_string()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn buckets_and_mappings_are_made_used_and_changed() {
    let Some(server) = Influxd::start().await else { return };
    let shim = server.admin();
    let ask = async |target: &str, q: &str| query(&shim, target, "a", q).await;

    // Sixty-four agents begin at once.
    let all = futures_util::future::join_all((0..64).map(|n| {
        let shim = &shim;
        async move { write(shim, "db=tele", "a", &format!("cpu,host=h{n} v={n} 1000000000")).await.0 }
    }));
    assert_eq!(all.await, vec![204; 64]);
    assert_eq!(server.mappings("tele").await, ["autogen=tele/autogen*"]);
    assert_eq!(ask("db=tele", "SELECT count(v) FROM cpu").await, "[[0,64]]");
    assert_eq!(ask("db=tele", "SHOW MEASUREMENTS").await, r#"[["cpu"]]"#);
    assert_eq!(ask("db=tele", "SHOW TAG KEYS").await, r#"[["host"]]"#);
    assert_eq!(ask("db=tele", "SHOW FIELD KEYS").await, r#"[["v","float"]]"#);
    assert_eq!(ask("db=tele", "SHOW TAG VALUES WITH KEY = host LIMIT 1").await, r#"[["host","h0"]]"#);

    // The policy first: the database has its default all the same.
    assert_eq!(write(&shim, "db=other&rp=week", "a", "m,t=x v=1 1000000000").await.0, 204);
    assert_eq!(server.mappings("other").await, ["autogen=other/autogen*", "week=other/week"]);
    assert_eq!(write(&shim, "db=other", "a", "n,t=y v=2 1000000000").await.0, 204);
    for (target, q, values) in [
        ("db=other&rp=week", "SELECT * FROM m", r#"[[1000000000,"x",1]]"#),
        ("db=other", "SELECT * FROM \"week\".m", r#"[[1000000000,"x",1]]"#),
        ("", "SELECT v FROM other.week.m", "[[1000000000,1]]"),
        ("db=other", "SELECT * FROM m", ""),
        ("db=other", "SELECT v FROM n", "[[1000000000,2]]"),
        ("db=other", "SHOW MEASUREMENTS", r#"[["n"]]"#),
        ("db=other&rp=week", "SHOW FIELD KEYS", r#"[["v","float"]]"#),
    ] {
        assert_eq!(ask(target, q).await, values, "{target} {q}");
    }

    // What others made, by name and by mapping.
    server.bucket("plain").await;
    let metrics = server.bucket("metrics").await;
    let body =
        json!({ "orgID": server.org, "bucketID": metrics, "database": "mapped", "retention_policy": "day", "default": true });
    server.ask(Method::POST, "/api/v2/dbrps", Some(body)).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(write(&shim, "db=plain", "a", "m v=3 1000000000").await.0, 204);
    assert_eq!(write(&shim, "db=mapped", "a", "m v=4 1000000000").await.0, 204);
    for (target, value) in
        [("db=plain", 3), ("db=plain&rp=autogen", 3), ("db=mapped", 4), ("db=mapped&rp=day", 4), ("db=metrics", 4)]
    {
        assert_eq!(ask(target, "SELECT v FROM m").await, format!("[[1000000000,{value}]]"), "{target}");
    }
    assert_eq!(server.mappings("plain").await, [""; 0]);

    // Statements.
    for (q, answer) in [
        ("CREATE DATABASE made WITH DURATION 7d NAME w", ""),
        ("CREATE DATABASE made WITH DURATION 7d NAME w", ""),
        ("CREATE DATABASE made", ""),
        ("CREATE DATABASE made WITH DURATION 8d NAME w", "200 retention policy conflicts with an existing policy"),
        ("CREATE DATABASE made WITH DURATION 1m NAME w", "200 retention policy duration must be at least 1h0m0s"),
        ("CREATE RETENTION POLICY year ON made DURATION 52w REPLICATION 1 DEFAULT", ""),
        ("CREATE RETENTION POLICY x ON nosuch DURATION 52w REPLICATION 1", "200 database not found: nosuch"),
        ("ALTER RETENTION POLICY w ON made DURATION 2w DEFAULT", ""),
    ] {
        assert_eq!(ask("", q).await, answer, "{q}");
    }
    assert_eq!(server.mappings("made").await, ["w=made/w*", "year=made/year"]);
    let policies = ask("", "SHOW RETENTION POLICIES ON made").await;
    assert!(policies.starts_with(r#"[["w","336h0m0s""#) && policies.contains(r#"["year","8736h0m0s""#), "{policies}");
    assert_eq!(ask("", "DROP RETENTION POLICY year ON made").await, "");
    assert_eq!(server.mappings("made").await, ["w=made/w*"]);
    assert_eq!(ask("", "DROP DATABASE made").await, "");
    assert_eq!(server.mappings("made").await, [""; 0]);
    assert_eq!(write(&shim, "db=made", "a", "m v=1 1000000000").await.0, 204);
    assert_eq!(server.mappings("made").await, ["autogen=made/autogen*"]);
    assert_eq!(ask("", "DROP DATABASE mapped").await, "");
    assert_eq!(ask("db=metrics", "SELECT v FROM m").await, "[[1000000000,4]]", "the bucket was somebody else's too");

    // v2 deletes from the default policy, whichever one is named: nothing is deleted from another one than was meant.
    assert!(ask("db=other", "DELETE FROM m").await.starts_with("200 a v2 server does this for a database's default"), "refused");
    assert_eq!(ask("db=other", "SELECT v FROM n").await, "[[1000000000,2]]");
    assert_eq!(ask("db=tele", "DELETE FROM cpu WHERE host = 'h1'").await, "");
    assert_eq!(ask("db=tele", "SELECT count(v) FROM cpu").await, "[[0,63]]");
    assert_eq!(ask("db=tele", "DROP MEASUREMENT cpu").await, "");
    assert_eq!(ask("db=tele", "SELECT count(v) FROM cpu").await, "");

    // What writers match on.
    for (target, lines, status, text) in [
        ("db=tele", "bad", 400, "unable to parse 'bad': missing fields"),
        ("db=plain", "m v=\"text\" 2", 400, "partial write: field type conflict: input field \\\"v\\\" on measurement \\\"m\\\""),
        ("db=a/b/c", "m v=1 2", 400, "invalid name"),
    ] {
        let (found, answer) = write(&shim, target, "a", lines).await;
        assert!(found == status && answer.contains(text), "{target}: {found} {answer}");
    }
    // Somebody drops a bucket: the write that finds out makes the next one make it again.
    let buckets = server.ask(Method::GET, &format!("/api/v2/buckets?name=tele/autogen&orgID={}", server.org), None).await;
    server.ask(Method::DELETE, &format!("/api/v2/buckets/{}", buckets["buckets"][0]["id"].as_str().unwrap()), None).await;
    let (status, answer) = write(&shim, "db=tele", "a", "m v=1 2").await;
    assert!(status == 404 && answer.contains("database not found: \\\"tele\\\""), "{answer}");
    assert_eq!(write(&shim, "db=tele", "a", "m v=1 2").await.0, 204);
}

#[tokio::test]
async fn clients_see_and_make_what_their_own_tokens_may() {
    let Some(server) = Influxd::start().await else { return };
    let mine = server.bucket("mine").await;
    server.bucket("other").await;
    let writer = server.token(&[("write", "buckets", Some(&mine))]).await;
    let reader = server.token(&[("read", "buckets", Some(&mine)), ("write", "buckets", Some(&mine))]).await;

    // The upstream decides, with and without a token of the shim's own.
    for own in ["", &format!("token = \"{TOKEN}\"")] {
        let shim = server.shim(own, "");
        let status = async |target: &str, token: &str| write(&shim, target, token, "m v=1 1000000000").await.0;
        assert_eq!(status("db=mine", &writer).await, 204, "{own:?}: a bucket that the token is not shown");
        assert_eq!(status("db=other", &writer).await, 403, "{own:?}");
        assert_eq!(status("db=mine", "wrong").await, 401);
        assert_eq!(status("db=nosuch", "wrong").await, 401);
        assert_eq!(status("db=nosuch", &writer).await, 404);
        assert_eq!(status("db=nosuch", &reader).await, 404);
        assert_eq!(query(&shim, "db=mine", &reader, "SELECT v FROM m").await, "[[1000000000,1]]");
        assert_eq!(query(&shim, "", &reader, "SHOW DATABASES").await, r#"[["mine"]]"#, "{own:?}");
        assert!(query(&shim, "", "wrong", "SHOW DATABASES").await.starts_with("401 "), "{own:?}");
        assert!(query(&shim, "", &reader, "CREATE DATABASE nosuch").await.contains("lacks the permission write:buckets"));
        assert!(query(&shim, "", "wrong", "DROP DATABASE mine").await.starts_with("401 "), "{own:?}");
        assert_eq!(server.mappings("nosuch").await, [""; 0]);
    }
    let shim = server.shim("", "");
    assert_eq!(write(&shim, "db=new", TOKEN, "m v=1 1000000000").await.0, 204);
    assert_eq!(server.mappings("new").await, ["autogen=new/autogen*"]);

    // A token of the shim's own that may not make what it should.
    let local = "[auth]\nmode = \"local\"\n[[auth.token]]\nname = \"a\"\ntoken = \"a\"\naccess = \"all\"";
    let shim = server.shim(&format!("token = \"{reader}\""), local);
    let (status, answer) = write(&shim, "db=nosuch", "a", "m v=1").await;
    assert_eq!(status, 401, "{answer}");
    assert!(
        answer.contains("can't make bucket \\\"nosuch/autogen\\\" for database \\\"nosuch\\\": upstream.token lacks"),
        "{answer}"
    );
    let shim = server.shim(&format!("token = \"{reader}\"\nauth_errors = \"retry\""), local);
    assert_eq!(write(&shim, "db=nosuch", "a", "m v=1").await.0, 503);
    assert_eq!(write(&shim, "db=mine", "a", "m v=1").await.0, 204);
}
