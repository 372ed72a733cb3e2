//! Who may come in at the edge, and with what they are sent on.

use std::time::Duration;

use http::Request;
use http_body_util::Full;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::mpsc};

use super::raw::{Raw, read_request, reply};
use crate::support::TestServer;

/// A server that tells which `Authorization` each write came with.
async fn server() -> (Raw, mpsc::UnboundedReceiver<String>) {
    let (seen, receive) = mpsc::unbounded_channel();
    let server = Raw::start(move |_, mut stream: TcpStream| {
        let seen = seen.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                if request.starts_with("GET") {
                    stream.write_all(reply("403 Forbidden", "", "").as_bytes()).await.unwrap();
                    continue;
                }
                let header =
                    request.lines().find_map(|line| line.to_lowercase().strip_prefix("authorization: ").map(str::to_owned));
                seen.send(header.unwrap_or_default()).unwrap();
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            }
        }
    })
    .await;
    (server, receive)
}

fn write(shim: &TestServer, query: &str, header: &str) -> Request<Full<bytes::Bytes>> {
    let mut request = Request::post(format!("{}/write?{query}", shim.url()));
    if !header.is_empty() {
        request = request.header("authorization", header);
    }
    request.body(Full::from("m v=1")).unwrap()
}

#[tokio::test]
async fn agents_keep_their_passwords_and_the_upstream_sees_tokens() {
    let (upstream, mut seen) = server().await;
    let shim = TestServer::builder()
        .config(&format!(
            "[backend]\nkind = \"upstream\"\n[upstream]\nurl = \"{}\"\ntoken = \"own\"\n[auth]\nmode = \"local\"\n\
             [[auth.user]]\nname = \"agent\"\nbcrypt = \"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\"\n\
             access = [{{ bucket = \"d\", write = true }}]\nforward = \"agents\"\n\
             [[auth.user]]\nname = \"plain\"\nbcrypt = \"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\"\naccess = \"all\"\n",
            upstream.url()
        ))
        .start();
    // Twice: the second time the password is known.
    for _ in 0..2 {
        for (query, header, status, token) in [
            ("db=d&u=agent&p=U*U", "", 204, "bearer agents"),
            ("db=d", "Basic YWdlbnQ6VSpV", 204, "bearer agents"),
            ("db=d", "Token agent:U*U", 204, "bearer agents"),
            ("db=d&u=plain&p=U*U", "", 204, "bearer own"),
            ("db=d&u=agent&p=U*V", "", 401, ""),
            ("db=d&p=U*U", "", 401, ""),
            ("db=d&u=nobody&p=U*U", "", 401, ""),
            ("db=other&u=agent&p=U*U", "", 403, ""),
        ] {
            let answer = shim.send(write(&shim, query, header)).await.expect(status);
            if status == 204 {
                assert_eq!(seen.recv().await.unwrap(), token, "{query} {header}");
            } else {
                assert!(answer.json()["error"].is_string());
            }
        }
    }
    assert!(seen.try_recv().is_err() && !shim.log().contains("U*U"));
}

#[tokio::test]
async fn a_token_in_a_file_is_read_again() {
    let (upstream, mut seen) = server().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("upstream.token");
    std::fs::write(&file, "first\n").unwrap();
    let shim = TestServer::builder()
        .config(&format!(
            "[backend]\nkind = \"upstream\"\n[upstream]\nurl = \"{}\"\ntoken_file = \"{}\"\n[auth]\nmode = \"none\"\n",
            upstream.url(),
            file.display()
        ))
        .start();
    shim.send(write(&shim, "db=d", "")).await.expect(204);
    assert_eq!(seen.recv().await.unwrap(), "bearer first");
    std::fs::write(&file, "second\n").unwrap();
    for _ in 0..100 {
        shim.send(write(&shim, "db=d", "")).await.expect(204);
        if seen.recv().await.unwrap() == "bearer second" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the old token is still sent");
}
