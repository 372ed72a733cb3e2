//! What may not grow: allocations of a request, and memory while an answer is written. In a process of its own, since both are counted.

use std::{convert::Infallible, sync::Arc};

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

const JSONL: Target = Target { api: Api::V3, reply: ReplyFormat::Jsonl, multi_bucket: true, full_influxql: true };

fn config() -> Config {
    let mut config = Config::default();
    config.compat.profile = Profile::V1;
    let token = Token { name: "one".into(), sha256: Sha256::digest("one").into(), access: Arc::new(Access::All), forward: None };
    config.auth.tokens = vec![token];
    config
}

/// Allocations of one request through the whole stack over a service that does nothing; the first one, which fills caches, isn't counted.
fn allocations(request: impl Fn() -> Request<Body>) -> u64 {
    let service = service_fn(|_: Request<Body>| std::future::ready(Ok::<_, Infallible>(Response::new(Body::empty()))));
    let mut stack = V1ShimLayer::new(config()).target(JSONL).layer(service);
    let mut counted = 0;
    for _ in 0..2 {
        let request = request();
        let mut response = None;
        counted = allocation_counter::measure(|| response = stack.call(request).now_or_never()).count_total;
        let response = response.expect("nothing to wait for").expect("infallible");
        assert!(response.status().is_success(), "{response:?}");
    }
    eprintln!("{counted} allocations");
    counted
}

#[test]
fn a_write_allocates_at_most_25_times() {
    let counted = allocations(|| {
        let request = Request::post("/write?db=telegraf&rp=autogen&precision=ns").header("authorization", "Token one");
        request.body(Body::from("cpu usage=1")).unwrap()
    });
    assert!(counted <= 25, "{counted}");
}

#[test]
fn a_dashboard_query_allocates_within_reason() {
    let q = r#"SELECT mean("usage_idle") FROM "cpu" WHERE ("host" = 'server01') AND time >= now() - 6h GROUP BY time(30s), "host" fill(null) ORDER BY time ASC LIMIT 99"#;
    let text =
        form_urlencoded::Serializer::new(String::new()).extend_pairs([("db", "telegraf"), ("epoch", "ms"), ("q", q)]).finish();
    let counted =
        allocations(|| Request::get(format!("/query?{text}")).header("authorization", "Token one").body(Body::empty()).unwrap());
    // Not a promise: about what it is, so that nobody doubles it without noticing.
    assert!(counted <= 150, "{counted}");
}

#[cfg(feature = "arrow")]
mod memory {
    use arrow_array::{ArrayRef, DictionaryArray, Float64Array, RecordBatch, TimestampNanosecondArray, types::Int32Type};
    use arrow_ipc::writer::StreamWriter;
    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};

    use http::HeaderMap;
    use v1shim::native::{GRPC, flight_data};

    use super::*;

    const BATCH: usize = 50_000;
    const ROWS: usize = 5_000_000;
    const MIB: u64 = 1 << 20;

    /// The schema, one batch, and the end of a stream.
    fn parts() -> [Bytes; 3] {
        let names: DictionaryArray<Int32Type> = std::iter::repeat_n("cpu", BATCH).collect();
        let times = (0..BATCH as i64).map(|row| 1_700_000_000_000_000_000 + row * 1_000_000);
        let columns: [(&str, ArrayRef); 3] = [
            ("iox::measurement", Arc::new(names)),
            ("time", Arc::new(TimestampNanosecondArray::from_iter_values(times))),
            ("usage", Arc::new(Float64Array::from_iter_values((0..BATCH).map(|row| row as f64 / 7.0)))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        let schema = writer.get_ref().len();
        writer.write(&batch).unwrap();
        let end = writer.get_ref().len();
        let all = Bytes::from(writer.into_inner().unwrap());
        [all.slice(..schema), all.slice(schema..end), all.slice(end..)]
    }

    /// `VmRSS`, in bytes.
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The same as messages of Arrow Flight: a stream of IPC is the messages' headers and bodies, with a frame around them.
    fn messages() -> [Bytes; 2] {
        let [schema, batch, _] = parts();
        let cut = |mut message: Bytes| {
            let mut out = Vec::new();
            while !message.is_empty() {
                let length = u32::from_le_bytes(message[4..8].try_into().unwrap()) as usize;
                let header = message.slice(8..8 + length);
                let body = usize::try_from(arrow_ipc::root_as_message(&header).unwrap().bodyLength()).unwrap();
                out.extend_from_slice(&flight_data(&header, body).unwrap());
                out.extend_from_slice(&message[8 + length..8 + length + body]);
                message = message.slice(8 + length + body..);
            }
            Bytes::from(out)
        };
        [cut(schema), cut(batch)]
    }

    #[test]
    fn five_million_rows_of_json_take_no_more_memory_than_a_few() {
        let [schema, batch, end] = parts();
        stays_small(ReplyFormat::Arrow, ROWS, move || {
            let frames = std::iter::once(schema.clone())
                .chain(std::iter::repeat_n(batch.clone(), ROWS / BATCH))
                .chain([end.clone()])
                .map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
            Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))))
        });
        // One after the other: both look at the same process.
        let [schema, batch] = messages();
        // As HTTP/2 cuts them.
        let frames: Vec<Bytes> =
            (0..batch.len()).step_by(16 << 10).map(|at| batch.slice(at..batch.len().min(at + (16 << 10)))).collect();
        stays_small(ReplyFormat::Flight, ROWS / 5, move || {
            let trailers =
                HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), http::HeaderValue::from_static("0"))]);
            let frames = std::iter::once(schema.clone())
                .chain(std::iter::repeat_n(frames.clone(), ROWS / 5 / BATCH).flatten())
                .map(Frame::data)
                .chain([Frame::trailers(trailers)])
                .map(Ok::<_, Infallible>);
            let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
            Response::builder().header("content-type", GRPC).body(body).unwrap()
        });
    }

    fn stays_small(reply: ReplyFormat, rows_sent: usize, answer: impl Fn() -> Response<Body> + Clone + Send + Sync + 'static) {
        let target = Target { reply, ..JSONL };
        let service = service_fn(move |_: Request<Body>| std::future::ready(Ok::<_, Infallible>(answer())));
        let mut stack = V1ShimLayer::new(config()).target(target).layer(service);
        let request = Request::get("/query?db=d&q=SELECT+usage+FROM+cpu").header("authorization", "Token one");
        let request = request.body(Body::empty()).unwrap();
        let before = resident();
        let mut most = before;
        let response = stack.call(request).now_or_never().unwrap().unwrap();
        let mut body = response.into_body();
        let (mut size, mut frames, mut rows) = (0, 0, 0);
        let mut tail = Bytes::new();
        while let Some(frame) = body.frame().now_or_never().unwrap() {
            let data = frame.unwrap().into_data().unwrap();
            size += data.len() as u64;
            rows += memchr::memchr_iter(b'[', &data).count();
            frames += 1;
            if frames % 64 == 0 {
                most = most.max(resident());
            }
            tail = data;
        }
        // Three more brackets than rows: results, series, columns, values.
        assert_eq!(rows, rows_sent + 4);
        assert!(tail.ends_with(b"]]}]}]}\n"));
        assert!(size > 30 * rows_sent as u64, "{size}");
        assert!(most - before <= 64 * MIB, "grew by {} MiB", (most - before) / MIB);
    }
}
