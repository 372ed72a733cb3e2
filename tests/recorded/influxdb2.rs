//! The whole stack in front of a server that gives the answers recorded from an InfluxDB 2.

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode};
use tower::Layer;
use v1shim::{
    Body, V1Shim, V1ShimLayer,
    config::{self, AuthMode, Backend, Config, Policy},
    native::Api,
    types::{Profile, Secret},
    upstream::{Upstream, UpstreamCatalog},
};

use super::{
    fixtures::INFLUXDB2,
    server::RecordedServer,
    stack::{Answer, ask},
};

const ADMIN: &str = "admintoken";

/// `own`: the upstream's token, for everybody; without one everybody brings theirs.
fn over(server: &RecordedServer, own: Option<&str>) -> V1Shim<Upstream> {
    let upstream = config::Upstream {
        api: Api::V2,
        url: format!("http://{}", server.addr).parse().unwrap(),
        org: "my org".into(),
        token: own.map(Secret::new),
        retries: 0,
        ..config::Upstream::default()
    };
    let service = Upstream::new(&upstream).unwrap();
    let mut config = Config::default();
    config.compat.profile = Profile::V1;
    config.auth.mode = if own.is_some() { AuthMode::None } else { AuthMode::Passthrough };
    (config.guard.delete, config.guard.create) = (Some(Policy::Forward), Some(Policy::Provision));
    config.guard.drop = Some(Policy::Forward);
    config.backend = Backend::Upstream(upstream);
    let catalog = UpstreamCatalog::new(service.clone(), Duration::from_secs(10));
    V1ShimLayer::new(config).catalog(Arc::new(catalog)).layer(service)
}

async fn write(shim: &V1Shim<Upstream>, target: &str, token: &str, lines: &str) -> Answer {
    let request = Request::post(format!("/write?{target}")).header("authorization", format!("Token {token}"));
    ask(shim, request.body(Body::from(lines.to_owned())).unwrap()).await
}

async fn query(shim: &V1Shim<Upstream>, target: &str, token: &str, q: &str) -> Answer {
    let query = form_urlencoded::Serializer::new(target.to_owned()).append_pair("q", q).append_pair("epoch", "ns").finish();
    let request = Request::post(format!("/query?{query}")).header("authorization", format!("Token {token}"));
    ask(shim, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn what_it_says_to_writes_reaches_writers_in_their_words() {
    let server = RecordedServer::start(&INFLUXDB2).await;
    let shim = over(&server, Some(ADMIN));
    for (target, lines, status, message) in [
        ("db=tg", "cpu,host=a v=1,i=2i 1000000000\ncpu,host=b v=3 2000000000\nmem,az=x free=5 1000000000", 204, ""),
        ("db=tg&rp=ever", "cpu,dc=w v=7 1000000000", 204, ""),
        ("db=mapped", "disk,dev=s used=9 1000000000", 204, ""),
        ("db=mapped&rp=day", "disk,dev=s used=9 1000000000", 204, ""),
        // A batch with a bad line is refused as a whole.
        ("db=tg", "cpu,host=a v=1 5000000000\nbad\ncpu,host=a v=2 6000000000", 400, "unable to parse 'bad': missing fields"),
        (
            "db=tg",
            "cpu,host=a v=\"text\" 7000000000\ncpu,host=a v=8 8000000000",
            400,
            "partial write: field type conflict: input field \"v\" on measurement \"cpu\" is type string, already exists as type \
             float dropped=1",
        ),
        (
            "db=tg&rp=week",
            "cpu,dc=w v=7 1\ncpu,dc=w v=7 1000000001",
            400,
            "partial write: dropped 2 points outside retention policy of duration 168h0m0s",
        ),
    ] {
        let answer = write(&shim, target, "", lines).await;
        assert_eq!(answer.status, StatusCode::from_u16(status).unwrap(), "{target} {lines}: {answer:?}");
        if status != 204 {
            assert!(answer.error().starts_with(message), "{target} {lines}: {answer:?}");
        }
        assert_eq!(server.missed(), [""; 0], "{target} {lines}");
    }
}

#[tokio::test]
async fn a_first_write_makes_a_bucket_and_its_mapping() {
    let server = RecordedServer::start(&INFLUXDB2).await;
    let shim = over(&server, Some(ADMIN));
    assert_eq!(write(&shim, "db=new", "", "m v=1").await.status, 204);
    assert_eq!(server.missed(), [""; 0]);
    let seen = server.seen();
    let posts: Vec<&str> =
        seen.iter().filter(|line| line.starts_with("POST")).map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(posts, ["/api/v2/buckets", "/api/v2/dbrps", "/api/v2/write"]);

    // It is there already: somebody else was faster.
    let statement = query(&shim, "", "", "CREATE DATABASE tg").await;
    assert_eq!(statement.text(), "{\"results\":[{\"statement_id\":0}]}\n");
    assert!(!server.seen().iter().any(|line| line.starts_with("POST")));
}

#[tokio::test]
async fn queries_go_by_a_mapping_that_leads_to_the_bucket() {
    let server = RecordedServer::start(&INFLUXDB2).await;
    let shim = over(&server, Some(ADMIN));
    for (target, q, asked, values) in [
        ("db=mapped", "SELECT * FROM disk", Some(("mapped", "day")), r#"[1000000000,"s",9]"#),
        ("db=metrics", "SELECT * FROM disk", Some(("mapped", "day")), r#"[1000000000,"s",9]"#),
        // By its name it is no default, and neither is its mapping.
        ("db=mapped&rp=year", "SELECT * FROM cpu", Some(("mapped", "year")), r#"[1000000000,"w",7]"#),
        ("db=tg&rp=ever", "SELECT * FROM cpu", Some(("mapped", "year")), r#"[1000000000,"w",7]"#),
        ("db=tg", "SELECT * FROM cpu", Some(("tg", "autogen")), r#"[1000000000,"a",2,1]"#),
        ("", "SELECT * FROM only.rp.cpu", Some(("only", "rp")), r#"{"statement_id":0}"#),
        ("db=mapped", "SHOW FIELD KEYS", Some(("mapped", "day")), r#"["used","float"]"#),
        ("db=mapped", "SHOW TAG KEYS", Some(("mapped", "day")), r#"["dev"]"#),
        (
            "db=tg&rp=autogen",
            "DROP MEASUREMENT mem",
            None,
            "a v2 server does this for a database's default retention policy alone",
        ),
        ("db=mapped", "DELETE FROM cpu", None, "a v2 server does this for a database's default retention policy alone"),
        ("db=both", "SELECT * FROM cpu", None, "no database and retention policy of the upstream stands for bucket"),
        ("db=nosuch", "SELECT * FROM cpu", None, "database not found: nosuch"),
    ] {
        let answer = query(&shim, target, "", q).await;
        assert!(answer.text().contains(values), "{target} {q}: {}", answer.text());
        let asks: Vec<String> = server.seen().into_iter().filter(|line| line.starts_with("POST /query")).collect();
        match asked {
            Some((db, rp)) => {
                let place = asks
                    .iter()
                    .all(|line| line.contains(&format!("\"db\": {db:?}")) && line.contains(&format!("\"rp\": {rp:?}")));
                assert!(place && asks.len() == 1, "{target} {q}: {asks:?}");
            }
            None => assert_eq!(asks, [""; 0], "{target} {q}"),
        }
        assert_eq!(server.missed(), [""; 0], "{target} {q}");
    }
}

#[tokio::test]
async fn clients_are_told_what_the_server_tells_them() {
    let server = RecordedServer::start(&INFLUXDB2).await;
    let shim = over(&server, None);
    let token = |group: &str| {
        let exchange = INFLUXDB2.group(group).next().unwrap();
        exchange.request.headers["Authorization"].strip_prefix("Token ").unwrap().to_owned()
    };
    let (writer, reader) = (token("tokens: write tg"), token("tokens: read all, write tg"));
    for (token, db, status) in [(&writer, "tg", 204), (&writer, "metrics", 403), (&reader, "tg", 204), (&reader, "metrics", 403)]
    {
        assert_eq!(write(&shim, &format!("db={db}"), token, "m,host=a v=1 1").await.status, status, "{db}");
    }
    assert_eq!(write(&shim, "db=tg", "wrong", "cpu v=1 1").await.status, 401);
    // Not shown to the one, and made by neither.
    for token in [&writer, &reader] {
        let answer = query(&shim, "", token, "CREATE DATABASE mine").await;
        assert!(answer.text().contains("\"error\""), "{}", answer.text());
    }
    let databases = query(&shim, "", &reader, "SHOW DATABASES").await;
    assert!(databases.text().contains(r#"["mapped"]"#) && databases.text().contains(r#"["tg"]"#), "{}", databases.text());
    let databases = query(&shim, "", &writer, "SHOW DATABASES").await;
    assert!(!databases.text().contains("tg"), "{}", databases.text());
}
