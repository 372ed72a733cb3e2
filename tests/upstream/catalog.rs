//! What the catalog asks of an upstream, and how rarely.

use std::{
    sync::{
        Arc, Mutex,
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

/// A v3 server that makes databases as recorded from InfluxDB 3 Core, and answers the first `ill` tries with a 503.
async fn maker(refusal: &'static str, ill: usize) -> (Raw, Arc<Mutex<Vec<String>>>) {
    let made = Arc::new(Mutex::new(Vec::<String>::new()));
    let shared = (Arc::clone(&made), Arc::new(AtomicUsize::new(ill)));
    let server = Raw::start(move |_, mut stream| {
        let (made, ill) = shared.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                let (head, body) = request.split_once("\r\n\r\n").unwrap();
                let answer = if head.starts_with("GET") {
                    let rows: Vec<String> =
                        made.lock().unwrap().iter().map(|name| format!("{{\"iox::database\":{name:?}}}")).collect();
                    reply("200 OK", "content-type: application/json\r\n", &format!("[{}]", rows.join(",")))
                } else if ill.load(Ordering::SeqCst) > 0 {
                    ill.fetch_sub(1, Ordering::SeqCst);
                    reply(refusal, "", "no")
                } else {
                    let name = serde_json::from_str::<serde_json::Value>(body).unwrap()["db"].as_str().unwrap().to_owned();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let mut made = made.lock().unwrap();
                    if made.contains(&name) {
                        reply("409 Conflict", "", "attempted to create a resource that already exists")
                    } else {
                        made.push(name);
                        reply("200 OK", "", "")
                    }
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (server, made)
}

#[tokio::test]
async fn many_first_writes_make_one_database_and_a_policy_first_its_default_too() {
    let (server, made) = maker("", 0).await;
    let catalog = catalog(&config(&server.url()));
    let who = known();
    let all = futures_util::future::join_all((0..64).map(|_| catalog.create(&who, "new", Some("week")))).await;
    assert!(all.into_iter().all(|bucket| &*bucket.unwrap() == "new/week"));
    assert_eq!(*made.lock().unwrap(), ["new", "new/week"]);
    assert_eq!(resolve(&catalog, "new", None).await.as_deref(), Some("new"));

    // Another shim was faster: what is there is fine.
    let other = self::catalog(&config(&server.url()));
    assert_eq!(resolve(&other, "late", None).await, None);
    made.lock().unwrap().push("late".into());
    assert_eq!(&*other.create(&who, "late", None).await.unwrap(), "late");
}

#[tokio::test]
async fn what_can_not_be_made_now_says_so_and_is_not_tried_all_the_time() {
    for (refusal, kind, words) in [
        ("503 Service Unavailable", Kind::Unavailable, "can't make database \"new\" for database \"new\": upstream: 503, no"),
        (
            "403 Forbidden",
            Kind::Forbidden,
            "upstream.token lacks the permission to manage databases (an admin token has it) (upstream: 403",
        ),
        ("422 Unprocessable Entity", Kind::Invalid, "can't make database \"new\" for database \"new\": upstream: 422, no"),
        // Dedicated has no such path: the write itself will tell.
        ("404 Not Found", Kind::NotImplemented, "can't make database \"new\""),
    ] {
        let (server, made) = maker(refusal, 1).await;
        let catalog = catalog(&config::Upstream { retries: 0, token: Some(Secret::new("own")), ..config(&server.url()) });
        for _ in 0..3 {
            let error = catalog.create(&known(), "new", None).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{refusal}: {error}");
            assert!(error.message().contains(words), "{error}");
        }
        assert_eq!(*made.lock().unwrap(), [""; 0]);
        // Others are no worse off.
        assert_eq!(&*catalog.create(&known(), "other", None).await.unwrap(), "other");
    }
    let (server, _) = maker("401 Unauthorized", 1).await;
    let config = config::Upstream {
        token: Some(Secret::new("own")),
        auth_errors: v1shim::native::AuthErrors::Retry,
        ..config(&server.url())
    };
    assert_eq!(catalog(&config).create(&known(), "new", None).await.unwrap_err().kind(), Kind::Unavailable);
    // A client's own token may not: its write is to hear so.
    let (server, _) = maker("403 Forbidden", 1).await;
    let client = Identity::unrestricted(Some(Secret::new("client")));
    let error = catalog(&super::client::config(&server.url())).create(&client, "new", None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotImplemented);
}

#[tokio::test]
async fn old_answers_serve_while_new_ones_are_fetched_or_can_not_be() {
    let (asked, slow) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let shared = (Arc::clone(&asked), Arc::clone(&slow));
    let server = Raw::start(move |_, mut stream| {
        let (asked, slow) = shared.clone();
        async move {
            while read_request(&mut stream).await.is_some() {
                asked.fetch_add(1, Ordering::SeqCst);
                if slow.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                stream.write_all(reply("200 OK", "", DATABASES).as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let catalog = UpstreamCatalog::new(Upstream::new(&config(&server.url())).unwrap(), Duration::from_millis(300));
    assert_eq!(resolve(&catalog, "fx", None).await.as_deref(), Some("fx"));
    slow.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(400)).await;
    for _ in 0..5 {
        let found = tokio::time::timeout(Duration::from_millis(200), resolve(&catalog, "fx", None)).await;
        assert_eq!(found.expect("nobody waits for it").as_deref(), Some("fx"));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(asked.load(Ordering::SeqCst), 2, "one asks for all");
}

#[tokio::test]
async fn each_client_is_shown_what_the_upstream_shows_it() {
    let server = Raw::start(|_, mut stream| async move {
        while let Some(request) = read_request(&mut stream).await {
            let answer = match request.to_lowercase() {
                all if all.contains("authorization: bearer own\r\n") => reply("200 OK", "", DATABASES),
                some if some.contains("authorization: bearer some\r\n") => reply("200 OK", "", r#"[{"iox::database":"fx"}]"#),
                _ => reply("401 Unauthorized", "", ""),
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let catalog = catalog(&config::Upstream { token: Some(Secret::new("own")), ..config(&server.url()) });
    let list = async |who: Identity| catalog.list(&who).await.map(|rows| rows.len()).map_err(|error| error.kind());
    let client = |token: &str| Identity::unrestricted(Some(Secret::new(token)));
    assert_eq!(list(known()).await, Ok(4));
    assert_eq!(list(client("own")).await, Ok(4));
    assert_eq!(list(client("some")).await, Ok(1));
    // However many make up tokens, what is remembered of them is bounded, and nobody sees anybody else's.
    for n in 0..200 {
        assert_eq!(list(client(&format!("wrong{n}"))).await, Err(Kind::Unauthorized));
    }
    assert_eq!(list(client("some")).await, Ok(1));
}
