//! The program itself, configured with an upstream.

use super::{fixtures::CORE, queries::v1, server::RecordedServer};
use crate::support::TestServer;

fn config(url: &str) -> String {
    format!(
        "[auth]\nmode = \"none\"\n[backend]\nkind = \"upstream\"\n[upstream]\napi = \"v3\"\nquery = \"http\"\nurl = \"{url}\"\n"
    )
}

#[tokio::test]
async fn it_stands_in_front_of_a_server() {
    let upstream = RecordedServer::start(&CORE).await;
    let shim = TestServer::builder().config(&config(&format!("http://{}", upstream.addr))).start();

    let answer = shim.get("/query?db=fx&epoch=ns&q=SELECT+*+FROM+cpu+GROUP+BY+*").await.expect(200);
    assert_eq!(answer.text(), format!("{}\n", v1("SELECT * FROM cpu GROUP BY *")));
    shim.post("/write?db=fx&precision=s", "prec v=1 1700000000").await.expect(204);
    let refused = shim.post("/write?db=fx", "garbage").await.expect(400);
    assert!(refused.text().contains("unable to parse 'garbage'"), "{}", refused.text());

    // Its own, and what it hands on.
    shim.get("/ping").await.expect(204);
    let list = shim.get("/api/v3/configure/database?format=json").await.expect(200);
    assert_eq!(list.text().matches("iox::database").count(), 4);
    assert_eq!(shim.get("/nosuch").await.expect(404).text(), "Not found");
    assert_eq!(upstream.missed(), [""; 0]);
}

#[tokio::test]
async fn it_starts_and_stays_up_without_one() {
    let shim = TestServer::builder().config(&config("http://127.0.0.1:9")).start();
    for _ in 0..2 {
        let answer = shim.post("/write?db=fx", "m v=1").await.expect(503);
        assert_eq!(answer.headers["retry-after"], "5");
        assert!(answer.text().contains("upstream can't be reached"), "{}", answer.text());
        shim.get("/query?db=fx&q=SELECT+v+FROM+m").await.expect(503);
    }
    shim.get("/ping").await.expect(204);
}
