//! What the whole stack costs over a service that does nothing.
//!
//! `cargo bench --bench stack`; without the embedded store: `cargo bench --no-default-features --features arrow --bench stack`
//!
//! What a write may allocate is a test, `tests/encode.rs`: times are for people to look at.

use std::{convert::Infallible, sync::Arc};

use divan::{AllocProfiler, Bencher, black_box};
use futures_util::FutureExt as _;
use http::{Request, Response};
use sha2::{Digest, Sha256};
use tower::{Layer as _, Service as _, service_fn};
use v1shim::{
    Body, V1ShimLayer,
    access::Access,
    config::{Config, Token},
    native::{Api, ReplyFormat, Target},
    types::Profile,
};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const JSONL: Target = Target { api: Api::V3, reply: ReplyFormat::Jsonl, multi_bucket: true, full_influxql: true };

/// 150 bytes, as Grafana writes them.
const DASHBOARD: &str = r#"SELECT mean("usage_idle") FROM "cpu" WHERE ("host" = 'server01') AND time >= now() - 6h GROUP BY time(30s), "host" fill(null) ORDER BY time ASC LIMIT 99"#;

fn main() {
    divan::main();
}

fn config() -> Config {
    let mut config = Config::default();
    config.compat.profile = Profile::V1;
    let token = |name: &str| Token {
        name: name.into(),
        sha256: Sha256::digest(name).into(),
        access: Arc::new(Access::All),
        forward: None,
    };
    config.auth.tokens = ["one", "two", "three"].map(token).into();
    config
}

/// The stack over a service that answers this at once.
fn run(bencher: Bencher<'_, '_>, target: Target, reply: &'static [u8], request: impl Fn() -> Request<Body> + Sync) {
    let service = service_fn(move |_: Request<Body>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(bytes::Bytes::from_static(reply)))))
    });
    let mut stack = V1ShimLayer::new(config()).target(target).layer(service);
    bencher.with_inputs(request).bench_local_values(|request| {
        let response = stack.call(request).now_or_never().expect("nothing to wait for").expect("infallible");
        assert!(response.status().is_success());
        black_box(response)
    });
}

fn query(parameters: &[(&str, &str)]) -> Request<Body> {
    let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    Request::get(format!("/query?{text}")).header("authorization", "Token two").body(Body::empty()).expect("a request")
}

#[divan::bench]
fn write(bencher: Bencher<'_, '_>) {
    run(bencher, JSONL, b"", || {
        let request = Request::post("/write?db=telegraf&rp=autogen&precision=ns").header("authorization", "Token two");
        request.body(Body::from("cpu usage=1")).expect("a request")
    });
}

#[divan::bench]
fn dashboard_query(bencher: Bencher<'_, '_>) {
    run(bencher, JSONL, b"", || query(&[("db", "telegraf"), ("epoch", "ms"), ("q", DASHBOARD)]));
}

/// A million floats, from an Arrow stream to JSON.
#[cfg(feature = "arrow")]
#[divan::bench(sample_count = 10)]
fn a_million_rows(bencher: Bencher<'_, '_>) {
    const ROWS: usize = 1_000_000;
    let target = Target { reply: ReplyFormat::Arrow, ..JSONL };
    let reply: &'static [u8] = Vec::leak(arrow::stream(ROWS / 50_000, 50_000));
    let service = service_fn(move |_: Request<Body>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(bytes::Bytes::from_static(reply)))))
    });
    let mut stack = V1ShimLayer::new(config()).target(target).layer(service);
    bencher
        .counter(divan::counter::ItemsCount::new(ROWS))
        .with_inputs(|| query(&[("db", "d"), ("q", "SELECT usage FROM cpu")]))
        .bench_local_values(|request| {
            let response = stack.call(request).now_or_never().expect("nothing to wait for").expect("infallible");
            let mut body = response.into_body();
            let mut size = 0;
            while let Some(frame) = http_body_util::BodyExt::frame(&mut body).now_or_never().expect("nothing to wait for") {
                size += frame.expect("a frame").data_ref().map_or(0, bytes::Bytes::len);
            }
            assert!(size > ROWS * 30);
        });
}

#[cfg(feature = "arrow")]
mod arrow {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, DictionaryArray, Float64Array, RecordBatch, TimestampNanosecondArray, types::Int32Type};
    use arrow_ipc::writer::StreamWriter;

    /// Batches of `cpu` with a time and a float.
    pub(super) fn stream(batches: usize, rows: usize) -> Vec<u8> {
        let names: DictionaryArray<Int32Type> = std::iter::repeat_n("cpu", rows).collect();
        let times = (0..rows as i64).map(|row| 1_700_000_000_000_000_000 + row * 1_000_000);
        let columns: [(&str, ArrayRef); 3] = [
            ("iox::measurement", Arc::new(names)),
            ("time", Arc::new(TimestampNanosecondArray::from_iter_values(times))),
            ("usage", Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64 / 7.0)))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).expect("a stream");
        for _ in 0..batches {
            writer.write(&batch).expect("a batch");
        }
        writer.into_inner().expect("a stream")
    }
}
