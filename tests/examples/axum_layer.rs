//! `examples/axum_layer.rs`, over a socket.

use super::http::{Server, get};

#[allow(dead_code)]
#[path = "../../examples/axum_layer.rs"]
mod example;

#[tokio::test]
async fn the_session_in_its_first_lines_prints_what_it_says() {
    let server = Server::start(example::app()).await;
    let write = server
        .request(
            "POST",
            "/write?db=home",
            &[("authorization", "Basic YW55OnNlY3JldA==")],
            "room,name=kitchen temp=21.5 1700000000000000000",
        )
        .await;
    assert_eq!((write.status, &*write.text()), (204, ""));

    let q = "/query?db=home&epoch=s&q=SELECT+temp+FROM+room+GROUP+BY+%22name%22";
    let answer = server.request("GET", q, &[("authorization", "Basic YW55OnNlY3JldA==")], "").await;
    let expected =
        include_str!("../../examples/axum_layer.rs").lines().find_map(|line| line.strip_prefix("//! {\"results\"")).unwrap();
    assert_eq!((answer.status, answer.text()), (200, format!("{{\"results\"{expected}\n")));

    assert_eq!(get(&server, "/hello", &[]).await.text(), "hello from the app");
    assert_eq!(get(&server, "/points", &[("authorization", "Bearer secret")]).await.text(), "1");
}

#[tokio::test]
async fn its_own_routes_stay_its_own_and_nobody_gets_in_without_the_token() {
    let server = Server::start(example::app()).await;
    for path in ["/points", "/query?db=home&q=SHOW+MEASUREMENTS", "/nosuch"] {
        let refused = get(&server, path, &[]).await;
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.header("www-authenticate").is_some(), "{path}");
    }
    let token = [("authorization", "Token secret")];
    assert_eq!(get(&server, "/nosuch", &token).await.status, 404);
    assert_eq!(get(&server, "/ping", &[]).await.status, 204);
}

#[tokio::test]
async fn v1_answers_are_cut_from_its_rows() {
    let server = Server::start(example::app()).await;
    let token = [("authorization", "Token secret")];
    let lines = "m,t=a f=1.5,n=2i 1\nm,t=b f=2.5 2\nm,t=a s=\"x\" 3\nother b=true 60";
    assert_eq!(server.request("POST", "/write?db=d&precision=s", &token, lines).await.status, 204);
    assert_eq!(server.request("POST", "/write?db=d&precision=m", &token, "other b=false 2").await.status, 204);

    for (q, results) in [
        (
            "SELECT * FROM m",
            r#"[{"statement_id":0,"series":[{"name":"m","columns":["time","f","n","s","t"],"values":[[1,1.5,2,null,"a"],[2,2.5,null,null,"b"],[3,null,null,"x","a"]]}]}]"#,
        ),
        (
            "SELECT f FROM m GROUP BY *",
            r#"[{"statement_id":0,"series":[{"name":"m","tags":{"t":"a"},"columns":["time","f"],"values":[[1,1.5]]},{"name":"m","tags":{"t":"b"},"columns":["time","f"],"values":[[2,2.5]]}]}]"#,
        ),
        (
            "SELECT b FROM other; SELECT nosuch FROM m",
            r#"[{"statement_id":0,"series":[{"name":"other","columns":["time","b"],"values":[[60,true],[120,false]]}]},{"statement_id":1}]"#,
        ),
        (
            "SHOW MEASUREMENTS",
            r#"[{"statement_id":0,"series":[{"name":"measurements","columns":["name"],"values":[["m"],["other"]]}]}]"#,
        ),
        ("SHOW TAG KEYS FROM m", r#"[{"statement_id":0,"series":[{"name":"m","columns":["tagKey"],"values":[["t"]]}]}]"#),
    ] {
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("q", q).finish();
        let answer = get(&server, &format!("/query?db=d&epoch=s&{query}"), &token).await;
        assert_eq!((answer.status, answer.text()), (200, format!("{{\"results\":{results}}}\n")), "{q}");
    }
}
