//! What the catalog asks of an upstream, and how rarely.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{io::AsyncWriteExt, net::TcpStream};
use v1shim::{
    access::Identity,
    config,
    dbrp::Catalog,
    error::Kind,
    native::Api,
    types::Secret,
    upstream::{Upstream, UpstreamCatalog},
};

use super::{
    client::config,
    raw::{Raw, nobody, read_request, reply},
};

/// As recorded from InfluxDB 3 Core.
const DATABASES: &str =
    r#"[{"iox::database":"_internal"},{"iox::database":"bench2"},{"iox::database":"fx"},{"iox::database":"fx/one-week"}]"#;

fn catalog(config: &config::Upstream) -> UpstreamCatalog {
    UpstreamCatalog::new(Upstream::new(config).unwrap(), Duration::from_secs(10))
}

/// Somebody whom the shim knows.
fn known() -> Identity {
    Identity { name: Some("known".into()), ..Identity::unrestricted(None) }
}

async fn resolve(catalog: &UpstreamCatalog, db: &str, rp: Option<&str>) -> Option<String> {
    catalog.resolve(&known(), db, rp).await.unwrap().map(Into::into)
}

#[tokio::test]
async fn many_who_ask_at_once_make_one_question() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = Raw::start(move |_, mut stream: TcpStream| {
        let count = Arc::clone(&count);
        async move {
            while let Some(request) = read_request(&mut stream).await {
                assert!(request.starts_with("GET /api/v3/configure/database?format=json HTTP/1.1\r\n"), "{request}");
                assert!(request.contains("authorization: Bearer admin\r\n"), "{request}");
                count.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.write_all(reply("200 OK", "content-type: application/json\r\n", DATABASES).as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let catalog = catalog(&config::Upstream { token: Some(Secret::new("admin")), ..config(&server.url()) });
    let all = futures_util::future::join_all((0..64).map(|_| resolve(&catalog, "fx", None))).await;
    assert!(all.iter().all(|bucket| bucket.as_deref() == Some("fx")));
    assert_eq!(resolve(&catalog, "fx", Some("one-week")).await.as_deref(), Some("fx/one-week"));
    assert_eq!(resolve(&catalog, "fx", Some("autogen")).await.as_deref(), Some("fx"));
    assert_eq!(resolve(&catalog, "nosuch", None).await, None);
    assert_eq!(catalog.list(&known()).await.unwrap().len(), 4);
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    // A name that is missing may have been made since: it is looked for again, but not each time.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for _ in 0..10 {
        assert_eq!(resolve(&catalog, "nosuch", None).await, None);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_upstream_that_does_not_tell_is_an_error_and_not_asked_all_the_time() {
    for (status, kind) in [
        ("401 Unauthorized", Kind::NotImplemented),
        ("403 Forbidden", Kind::NotImplemented),
        ("404 Not Found", Kind::NotImplemented),
        ("400 Bad Request", Kind::NotImplemented),
        ("503 Service Unavailable", Kind::Unavailable),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let server = Raw::start(move |_, mut stream| {
            let count = Arc::clone(&count);
            async move {
                while read_request(&mut stream).await.is_some() {
                    count.fetch_add(1, Ordering::SeqCst);
                    stream.write_all(reply(status, "", "no").as_bytes()).await.unwrap();
                }
            }
        })
        .await;
        let catalog = catalog(&config::Upstream { retries: 0, ..config(&server.url()) });
        for _ in 0..5 {
            assert_eq!(catalog.resolve(&known(), "fx", None).await.unwrap_err().kind(), kind, "{status}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{status}");
    }
    assert_eq!(catalog(&config(&nobody().await)).list(&known()).await.unwrap_err().kind(), Kind::Unavailable);
}

#[tokio::test]
async fn names_outlive_an_outage() {
    let away = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&away);
    let server = Raw::start(move |_, mut stream| {
        let away = Arc::clone(&flag);
        async move {
            while read_request(&mut stream).await.is_some() {
                let answer = if away.load(Ordering::SeqCst) { reply("503 No", "", "") } else { reply("200 OK", "", DATABASES) };
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let catalog = catalog(&config(&server.url()));
    assert_eq!(resolve(&catalog, "fx", None).await.as_deref(), Some("fx"));
    away.store(true, Ordering::SeqCst);
    // Asked again because of the missing name, and refused.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(resolve(&catalog, "nosuch", None).await, None);
    assert_eq!(resolve(&catalog, "fx", None).await.as_deref(), Some("fx"));
}

#[tokio::test]
async fn what_a_write_has_just_made_is_found_at_once() {
    let made = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&made);
    let server = Raw::start(move |_, mut stream| {
        let made = Arc::clone(&flag);
        async move {
            while read_request(&mut stream).await.is_some() {
                let body = if made.load(Ordering::SeqCst) { r#"[{"iox::database":"new"}]"# } else { "[]" };
                stream.write_all(reply("200 OK", "", body).as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let catalog = catalog(&config(&server.url()));
    assert_eq!(resolve(&catalog, "new", None).await, None);
    assert_eq!(&*catalog.create(&known(), "new", None).await.unwrap(), "new");
    // The write is under way.
    assert_eq!(resolve(&catalog, "new", None).await, None);
    assert!(catalog.list(&known()).await.unwrap().is_empty());
    made.store(true, Ordering::SeqCst);
    assert_eq!(catalog.list(&known()).await.unwrap().len(), 1);
    assert_eq!(resolve(&catalog, "new", None).await.as_deref(), Some("new"));
}

#[tokio::test]
async fn answers_without_end_are_cut() {
    let server = Raw::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[").await;
        while stream.write_all(&[b' '; 65536]).await.is_ok() {}
    })
    .await;
    let error = catalog(&config(&server.url())).list(&known()).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::BadGateway, "answer of upstream is longer than 8388608 bytes"));
}

#[tokio::test]
async fn a_v2_server_is_asked_for_mappings_and_all_pages_of_buckets() {
    let server = Raw::start(|_, mut stream| async move {
        while let Some(request) = read_request(&mut stream).await {
            assert!(request.contains("authorization: Token admin\r\n"), "{request}");
            let target = request.split(' ').nth(1).unwrap();
            let body = match target {
                "/api/v2/dbrps?org=my+org" => {
                    r#"{"content":[{"id":"1","database":"tg","retention_policy":"week","default":true,"bucketID":"b120"}]}"#
                        .to_owned()
                }
                "/api/v2/buckets?limit=100&offset=0&org=my+org" => buckets(0..100),
                "/api/v2/buckets?limit=100&offset=100&org=my+org" => buckets(100..130),
                _ => panic!("unexpected {target}"),
            };
            stream.write_all(reply("200 OK", "content-type: application/json\r\n", &body).as_bytes()).await.unwrap();
        }
    })
    .await;
    let config = config::Upstream {
        api: Api::V2,
        org: "my org".into(),
        token: Some(Secret::new("admin")),
        timeout: Duration::from_secs(5),
        ..config(&server.url())
    };
    let catalog = catalog(&config);
    assert_eq!(resolve(&catalog, "tg", None).await.as_deref(), Some("bucket120"));
    assert_eq!(resolve(&catalog, "bucket99", Some("autogen")).await.as_deref(), Some("bucket99"));
    assert_eq!(catalog.list(&known()).await.unwrap().len(), 131);
}

fn buckets(range: std::ops::Range<usize>) -> String {
    let rows: Vec<String> = range
        .map(|i| format!(r#"{{"id":"b{i}","name":"bucket{i}","retentionRules":[{{"type":"expire","everySeconds":0}}]}}"#))
        .collect();
    format!(r#"{{"buckets":[{}]}}"#, rows.join(","))
}
