//! Arrow Flight, asked as its clients ask: `DoGet` with a ticket.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch, cast::AsArray};
use arrow_ipc::reader::StreamReader;
use arrow_schema::Field;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use tower::ServiceExt;
use v1shim::{
    Body,
    access::{Access, Grant, Identity},
    config,
    embedded::{Embedded, Engine},
    native::{FLIGHT_DO_GET, FlightData, FlightPiece, FlightTicket, GrpcStatus},
};

/// What came: the messages as one Arrow IPC stream, the length of each, and the status.
struct Answer {
    stream: Vec<u8>,
    lengths: Vec<usize>,
    status: GrpcStatus,
    /// The status stood among the headers.
    at_once: bool,
}

impl Answer {
    fn batches(&self) -> Vec<RecordBatch> {
        assert!(self.status.is_ok(), "{:?}", self.status);
        StreamReader::try_new(&self.stream[..], None).unwrap().map(Result::unwrap).collect()
    }
}

async fn store(limits: config::Limits) -> (tempfile::TempDir, Embedded) {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(&super::config(dir.path(), 64 << 20), limits).await.unwrap();
    (dir, Embedded::new(engine))
}

async fn write(service: &Embedded, lines: String) {
    let request = Request::post("/api/v3/write_lp?db=d&precision=ns").body(Body::from(lines)).unwrap();
    let response = service.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 204);
}

fn grpc(path: &str, body: Bytes) -> Request<Body> {
    Request::post(path).header("content-type", "application/grpc").header("te", "trailers").body(Body::from(body)).unwrap()
}

fn influxql(q: &str) -> Request<Body> {
    grpc(FLIGHT_DO_GET, FlightTicket::influxql("d", q).to_body().unwrap())
}

async fn send(service: &Embedded, request: Request<Body>) -> Answer {
    let (head, mut body) = service.clone().oneshot(request).await.unwrap().into_parts();
    assert_eq!((head.status.as_u16(), head.headers["content-type"].as_bytes()), (200, &b"application/grpc"[..]));
    let (mut messages, mut trailers) = (FlightData::default(), HeaderMap::new());
    let mut answer = Answer {
        stream: Vec::new(),
        lengths: Vec::new(),
        status: GrpcStatus { code: 0, message: String::new() },
        at_once: head.headers.contains_key("grpc-status"),
    };
    while let Some(frame) = body.frame().await {
        match frame.unwrap().into_data() {
            Ok(data) => messages.push(data),
            Err(frame) => trailers = frame.into_trailers().unwrap(),
        }
        while let Some(piece) = messages.piece().unwrap() {
            match piece {
                FlightPiece::Header(header) => {
                    let padded = header.len().next_multiple_of(8);
                    answer.stream.extend_from_slice(&[0xff; 4]);
                    answer.stream.extend_from_slice(&u32::try_from(padded).unwrap().to_le_bytes());
                    answer.stream.extend_from_slice(&header);
                    answer.stream.resize(answer.stream.len() + padded - header.len(), 0);
                    answer.lengths.push(header.len());
                }
                FlightPiece::Body(body) => {
                    answer.stream.extend_from_slice(&body);
                    *answer.lengths.last_mut().unwrap() += body.len();
                }
            }
        }
    }
    answer.stream.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let trailers = if answer.at_once { &head.headers } else { &trailers };
    answer.status = GrpcStatus::of(trailers).expect("a status");
    assert!(messages.is_complete() || !answer.status.is_ok());
    answer
}

#[tokio::test]
async fn rows_come_as_a_v3_server_lays_them_out() {
    let (_dir, service) = store(config::Limits::default()).await;
    write(&service, "cpu,host=a usage=1.5,n=2i 1\ncpu,host=b usage=2.5 2\nmem,host=a used=7u 3".to_owned()).await;
    let answer = send(&service, influxql("SELECT usage, n FROM cpu GROUP BY host")).await;
    let batches = answer.batches();
    let schema = batches[0].schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["iox::measurement", "time", "host", "usage", "n"]);
    let key = &schema.metadata()["iox::influxql::group_key::metadata"];
    assert!(key.contains(r#""tagKey":"host","columnIndex":2"#), "{key}");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    // Texts as such, as 3 Core sends them, and its marks where points come out as they were written.
    let kinds = |batches: &[RecordBatch]| -> Vec<(String, Option<String>)> {
        let schema = batches[0].schema();
        let mark =
            |field: &Field| Some(field.metadata().get("iox::column::type")?.strip_prefix("iox::column_type::")?.to_owned());
        schema.fields().iter().map(|field| (field.data_type().to_string(), mark(field))).collect()
    };
    let of = |kind: &str, mark: &str| (kind.to_owned(), (!mark.is_empty()).then(|| mark.to_owned()));
    assert_eq!(
        kinds(&batches),
        [
            of("Utf8", ""),
            of("Timestamp(ns)", "timestamp"),
            of("Utf8", "tag"),
            of("Float64", "field::float"),
            of("Int64", "field::integer")
        ]
    );
    let hosts: Vec<String> = batches
        .iter()
        .flat_map(|batch| batch.column(2).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(hosts, ["a", "b"]);
    let means = send(&service, influxql("SELECT mean(usage), count(n) FROM cpu GROUP BY host")).await.batches();
    assert_eq!(kinds(&means), [of("Utf8", ""), of("Timestamp(ns)", ""), of("Utf8", "tag"), of("Float64", ""), of("Int64", "")]);
    let tags = send(&service, influxql("SELECT host, used, used * 2u FROM mem")).await.batches();
    assert_eq!(kinds(&tags)[2..], [of("Utf8", "tag"), of("UInt64", "field::uinteger"), of("UInt64", "")]);

    // A schema alone, when there is nothing.
    let nothing = send(&service, influxql("SELECT usage FROM nosuch")).await;
    assert_eq!((nothing.lengths.len(), nothing.batches().len()), (1, 0));
    let names = send(&service, influxql("SHOW MEASUREMENTS")).await;
    assert_eq!(names.batches()[0].num_rows(), 2);

    let mut ticket = FlightTicket::influxql("d", "SELECT usage FROM cpu WHERE host = $h");
    ticket.params = serde_json::from_str(r#"{"h":"b"}"#).unwrap();
    let bound = send(&service, grpc(FLIGHT_DO_GET, ticket.to_body().unwrap())).await;
    assert_eq!(bound.batches()[0].num_rows(), 1);
}

#[tokio::test]
async fn what_is_large_comes_in_messages_that_every_client_takes() {
    let (_dir, service) = store(config::Limits::default()).await;
    let text = "x".repeat(900);
    let rows = 10_000;
    for chunk in (0..rows).collect::<Vec<_>>().chunks(2_000) {
        write(&service, chunk.iter().map(|row| format!("m,t={}{text} s=\"{row} {text}\",v={row}i {row}\n", row % 7)).collect())
            .await;
    }
    let answer = send(&service, influxql("SELECT s, v, t FROM m")).await;
    assert!(answer.lengths.len() > 4 && answer.lengths.iter().all(|length| *length < 4 << 20), "{:?}", answer.lengths);
    let mut seen = 0;
    for batch in answer.batches() {
        let (texts, numbers) = (batch.column_by_name("s").unwrap(), batch.column_by_name("v").unwrap());
        let (texts, numbers) = (texts.as_string::<i32>(), numbers.as_primitive::<arrow_array::types::Int64Type>());
        for row in 0..batch.num_rows() {
            assert_eq!(numbers.value(row), seen);
            assert!(texts.is_valid(row) && texts.value(row).starts_with(&format!("{seen} x")));
            seen += 1;
        }
    }
    assert_eq!(seen, rows);
}

#[tokio::test]
async fn what_is_wrong_is_said_in_grpcs_way() {
    let (_dir, service) = store(config::Limits { query: 100, ..config::Limits::default() }).await;
    write(&service, "cpu usage=1.5 1".to_owned()).await;
    let mut sql = FlightTicket::influxql("d", "SELECT 1");
    sql.query_type = "sql".into();
    let ticket = |database: &'static str, q: &'static str| FlightTicket::influxql(database, q).to_body().unwrap();
    const SERVICE: &str = "/arrow.flight.protocol.FlightService";
    for (path, body, code, message) in [
        (FLIGHT_DO_GET.to_owned(), ticket("d", "SELEC"), 3, "found SELEC, expected"),
        (FLIGHT_DO_GET.to_owned(), ticket("d", "SELECT nosuch(usage) FROM cpu"), 3, "undefined function nosuch()"),
        (FLIGHT_DO_GET.to_owned(), ticket("d", "SELECT 1; SELECT 2"), 3, ""),
        (FLIGHT_DO_GET.to_owned(), ticket("nosuch", "SELECT v FROM m"), 5, "database not found: \"nosuch\""),
        (FLIGHT_DO_GET.to_owned(), ticket("", "SELECT v FROM m"), 3, "database name required"),
        (
            FLIGHT_DO_GET.to_owned(),
            sql.to_body().unwrap(),
            12,
            "query_type \"sql\" is not implemented: this store speaks \"influxql\"",
        ),
        (FLIGHT_DO_GET.to_owned(), Bytes::from_static(b"\0\0\0\0\x02\x0a\0"), 3, "ticket is not the JSON object"),
        (FLIGHT_DO_GET.to_owned(), Bytes::from_static(b"garbage"), 3, "body is not one gRPC message"),
        (FLIGHT_DO_GET.to_owned(), Bytes::from(vec![0; 2 << 20]), 8, "request body is larger than"),
        (format!("{SERVICE}/GetFlightInfo"), Bytes::new(), 12, "GetFlightInfo\" is not implemented"),
        (format!("{SERVICE}/DoPut"), Bytes::new(), 12, "is not implemented"),
        ("/grpc.health.v1.Health/Check".to_owned(), Bytes::new(), 12, "is not implemented"),
    ] {
        let answer = send(&service, grpc(&path, body)).await;
        assert!(answer.at_once, "{path}");
        assert_eq!(answer.status.code, code, "{path} {:?}", answer.status);
        assert!(answer.status.message.contains(message), "{:?} is not {message}", answer.status.message);
    }
}

#[tokio::test]
async fn nobody_reads_what_they_may_not() {
    let (_dir, service) = store(config::Limits::default()).await;
    write(&service, "cpu usage=1.5 1".to_owned()).await;
    for (bucket, code) in [("d", 0), ("other", 7)] {
        let access = Access::Grants(vec![Grant { bucket: bucket.into(), read: true, write: false }]);
        let mut request = influxql("SELECT usage FROM cpu");
        request.extensions_mut().insert(Identity { name: None, access: Arc::new(access), forward: None });
        assert_eq!(send(&service, request).await.status.code, code);
    }
}

#[tokio::test]
async fn a_query_that_fails_on_its_way_ends_with_why() {
    // The first batch is on its way when the time is up.
    let limits = config::Limits { query_timeout: std::time::Duration::from_millis(300), ..config::Limits::default() };
    let (_dir, service) = store(limits).await;
    write(&service, (0..150_000).map(|row| format!("m v={row} {row}\n")).collect()).await;
    let response = service.clone().oneshot(influxql("SELECT v FROM m")).await.unwrap();
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let mut last = None;
    while let Some(frame) = body.frame().await {
        last = frame.unwrap().into_trailers().ok();
    }
    let status = GrpcStatus::of(&last.expect("trailers")).unwrap();
    assert_eq!((status.code, &*status.message), (14, "timeout: the query took too long"));
}
