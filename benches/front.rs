//! What a request costs before it reaches the native API, and what reading line protocol costs.
//!
//! `cargo bench --no-default-features --bench front`

use std::sync::Arc;

use divan::{AllocProfiler, Bencher, black_box, counter::BytesCount};
use futures_util::FutureExt as _;
use http::{Request, Response};
use sha2::{Digest, Sha256};
use tower::{Layer as _, Service as _, service_fn};
use v1shim::{
    Body, Error,
    access::Access,
    auth::AuthLayer,
    config::{Config, Live, Token},
    guard::GuardLayer,
    lineprotocol::{parse_lines, rescale},
    params::ParamsLayer,
    types::Precision,
};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn live() -> Live {
    let mut config = Config::default();
    let token = |name: &str| Token {
        name: name.into(),
        sha256: Sha256::digest(name).into(),
        access: Arc::new(Access::All),
        forward: None,
    };
    config.auth.tokens = ["one", "two", "three"].map(token).into();
    Live::new(config)
}

/// Authentication, parameters and guard over a service that does nothing.
fn front(bencher: Bencher<'_, '_>, request: impl Fn() -> Request<Body> + Sync) {
    let live = live();
    let nothing = service_fn(async |_: Request<Body>| Ok::<_, Error>(Response::new(Body::empty())));
    let stack = ParamsLayer::new(live.clone()).layer(GuardLayer::new(live.clone()).layer(nothing));
    let mut stack = AuthLayer::new(live).layer(stack);
    bencher.with_inputs(request).bench_local_values(|request| {
        let response = stack.call(request).now_or_never().expect("nothing to wait for");
        black_box(response.expect("accepted"))
    });
}

#[divan::bench]
fn write(bencher: Bencher<'_, '_>) {
    front(bencher, || {
        let request = Request::post("/write?db=telegraf&rp=autogen&precision=ns").header("authorization", "Token two");
        request.body(Body::from("cpu usage=1")).expect("a request")
    });
}

#[divan::bench]
fn dashboard_query(bencher: Bencher<'_, '_>) {
    front(bencher, || {
        let q = "SELECT+mean(%22usage_idle%22)+FROM+%22cpu%22+WHERE+(%22host%22+%3D~+/%5Eweb/)+AND+time+%3E+now()+-+6h+\
                 GROUP+BY+time(30s),+%22host%22+fill(null)+ORDER+BY+time+ASC";
        let request = Request::get(format!("/query?db=telegraf&epoch=ms&q={q}")).header("authorization", "Token two");
        request.body(Body::empty()).expect("a request")
    });
}

/// What Telegraf's `cpu` input writes.
fn telegraf(lines: usize) -> Vec<u8> {
    let line = |n: usize| {
        format!(
            "cpu,cpu=cpu{},host=web-{}.example.org,region=eu-west usage_guest=0,usage_idle={}.5,usage_iowait=0.25,usage_irq=0,\
             usage_nice=0,usage_softirq=0.125,usage_steal=0,usage_system=1.75,usage_user=2.5,uptime={n}i 17000000{:02}000000000\n",
            n % 8,
            n % 100,
            n % 97,
            n % 60
        )
    };
    (0..lines).map(line).collect::<String>().into_bytes()
}

#[divan::bench(args = [1, 5000])]
fn line_protocol(bencher: Bencher<'_, '_>, lines: usize) {
    let body = telegraf(lines);
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench(|| parse_lines(black_box(&body), Precision::Nanosecond).filter(Result::is_ok).count());
}

#[divan::bench]
fn rescale_minutes(bencher: Bencher<'_, '_>) {
    let body = String::from_utf8(telegraf(5000)).expect("text").replace("000000000\n", "\n").replace(" 170", " 1").into_bytes();
    bencher.counter(BytesCount::of_slice(&body)).bench(|| rescale(black_box(&body), Precision::Minute).expect("in range").len());
}
