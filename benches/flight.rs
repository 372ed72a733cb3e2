//! How fast an Arrow Flight answer becomes v1's JSON: the whole stack on one core, over a service that has the messages ready, in frames as HTTP/2
//! brings them.
//!
//! `cargo bench --no-default-features --features arrow --bench flight`
//!
//! That its memory is bounded is a test, `tests/encode.rs`.

use std::{convert::Infallible, sync::Arc};

use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, TimestampNanosecondArray, types::Int32Type};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use bytes::Bytes;
use divan::{Bencher, counter::ItemsCount};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tower::{Layer as _, Service as _, service_fn};
use v1shim::{
    Body, V1ShimLayer,
    config::{AuthMode, Config},
    native::{Api, GROUP_KEY_METADATA, GRPC, ReplyFormat, Target, flight_data},
};

const ROWS: usize = 1_000_000;
/// Of a batch, as InfluxDB 3 makes them.
const BATCH: usize = 8192;
/// Of a frame: HTTP/2's default.
const FRAME: usize = 16 << 10;

fn main() {
    divan::main();
}

/// The frames of an answer with a time, a float and an integer, in so many series.
fn frames(series: usize) -> Arc<[Bytes]> {
    let texts = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let key = r#"{"tagKeyColumns":[{"tagKey":"host","columnIndex":2}]}"#.to_owned();
    let fields = vec![
        Field::new("iox::measurement", texts(), false),
        Field::new("time", DataType::Timestamp(TimeUnit::Nanosecond, None), false),
        Field::new("host", texts(), false),
        Field::new("usage", DataType::Float64, true),
        Field::new("count", DataType::Int64, true),
    ];
    let schema = Arc::new(Schema::new_with_metadata(fields, [(GROUP_KEY_METADATA.to_owned(), key)]));
    let (generator, options) = (IpcDataGenerator::default(), IpcWriteOptions::default());
    let (mut dictionaries, mut context) = (DictionaryTracker::new(false), IpcWriteContext::default());
    let head = generator.schema_to_bytes_with_dictionary_tracker(&schema, &mut dictionaries, &options);
    let mut stream = flight_data(&head.ipc_message, 0).expect("a message").to_vec();
    let hosts: Vec<String> = (0..series).map(|number| format!("host_{number}")).collect();
    let of_series = ROWS / series;
    for from in (0..ROWS).step_by(BATCH) {
        let rows = from..ROWS.min(from + BATCH);
        let names: DictionaryArray<Int32Type> = std::iter::repeat_n("cpu", rows.len()).collect();
        let host = |row: usize| hosts[(row / of_series).min(series - 1)].as_str();
        let tags: DictionaryArray<Int32Type> = rows.clone().map(host).collect();
        // Fractions of a second, and digits as measurements have them.
        let times = rows.clone().map(|row| 1_700_000_000_000_000_000 + row as i64 * 10_000_123);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(names),
            Arc::new(TimestampNanosecondArray::from_iter_values(times)),
            Arc::new(tags),
            Arc::new(Float64Array::from_iter_values(rows.clone().map(|row| row as f64 / 7.0))),
            Arc::new(Int64Array::from_iter_values(rows.map(|row| row as i64 * 31))),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("a batch");
        let (messages, last) = generator.encode(&batch, &mut dictionaries, &options, &mut context).expect("messages");
        for message in messages.into_iter().chain([last]) {
            stream.extend_from_slice(&flight_data(&message.ipc_message, message.arrow_data.len()).expect("a message"));
            stream.extend_from_slice(&message.arrow_data);
        }
    }
    let stream = Bytes::from(stream);
    (0..stream.len()).step_by(FRAME).map(|at| stream.slice(at..stream.len().min(at + FRAME))).collect()
}

fn run(bencher: Bencher<'_, '_>, series: usize, parameters: &str) {
    let frames = frames(series);
    let service = service_fn(move |_: Request<Body>| {
        let frames = Arc::clone(&frames);
        let data = (0..frames.len()).map(move |at| Frame::data(frames[at].clone()));
        let trailers = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
        let body = StreamBody::new(futures_util::stream::iter(data.chain([Frame::trailers(trailers)]).map(Ok::<_, Infallible>)));
        let mut response = Response::new(Body::new(body));
        response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut config = Config::default();
    config.auth.mode = AuthMode::None;
    let target = Target { api: Api::V3, reply: ReplyFormat::Flight, multi_bucket: false, full_influxql: false };
    let mut stack = V1ShimLayer::new(config).target(target).layer(service);
    let uri = format!("/query?db=d&q=SELECT+usage,count+FROM+cpu+GROUP+BY+host{parameters}");
    bencher
        .counter(ItemsCount::new(ROWS))
        .with_inputs(|| Request::get(&uri).body(Body::empty()).expect("a request"))
        .bench_local_values(|request| {
            let response = stack.call(request).now_or_never().expect("nothing to wait for").expect("infallible");
            assert!(response.status().is_success());
            let mut body = response.into_body();
            let (mut size, mut end) = (0, Bytes::new());
            while let Some(frame) = body.frame().now_or_never().expect("nothing to wait for") {
                let data = frame.expect("a frame").into_data().unwrap_or_default();
                size += data.len();
                end = data;
            }
            assert!(size > ROWS * 20 && end.ends_with(b"]]}]}]}\n"));
        });
}

/// `"2023-11-14T22:13:20.010000123Z"`
#[divan::bench(sample_count = 10)]
fn times_as_text(bencher: Bencher<'_, '_>) {
    run(bencher, 1, "");
}

/// `1700000000010`, as Grafana asks for.
#[divan::bench(sample_count = 10)]
fn times_as_numbers(bencher: Bencher<'_, '_>) {
    run(bencher, 1, "&epoch=ms");
}

#[divan::bench(sample_count = 10)]
fn ten_thousand_series(bencher: Bencher<'_, '_>) {
    run(bencher, 10_000, "&epoch=ms");
}
