//! What parsing costs, in time and in allocations.

use divan::{AllocProfiler, Bencher, black_box};
use v1shim::influxql::{Limits, Params, parse, regex, validate};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

/// As a dashboard asks, 150 bytes.
const DASHBOARD: &str = "SELECT mean(\"usage_user\") FROM \"cpu\" WHERE (\"host\" =~ /^server01\\.example$/) AND time >= now() - 12h \
                         GROUP BY time(300s), \"host\" fill(null) LIMIT 5000";
const SUBQUERY: &str = "SELECT max(m) - min(m) AS d FROM (SELECT mean(v) AS m FROM \"db\".\"rp\".\"cpu\" WHERE time > '2024-01-01T00:00:00Z' \
                        AND time < '2024-01-02T00:00:00Z' AND region = 'eu' GROUP BY time(1m), host fill(previous)) GROUP BY host";

fn main() {
    assert_eq!(DASHBOARD.len(), 150);
    divan::main();
}

#[divan::bench(args = ["dashboard", "subquery", "show"])]
fn parsing(bencher: Bencher<'_, '_>, which: &str) {
    let text = match which {
        "dashboard" => DASHBOARD,
        "subquery" => SUBQUERY,
        _ => "SHOW TAG VALUES FROM cpu WITH KEY = host",
    };
    let params = Params::default();
    bencher.bench(|| parse(black_box(text), &params, Limits::default()).map_err(drop));
}

#[divan::bench]
fn printing(bencher: Bencher<'_, '_>) {
    let statements = parse(DASHBOARD, &Params::default(), Limits::default()).expect("it is right");
    bencher.bench(|| black_box(&statements).iter().map(ToString::to_string).collect::<Vec<_>>());
}

#[divan::bench]
fn validating(bencher: Bencher<'_, '_>) {
    let statements = parse(DASHBOARD, &Params::default(), Limits::default()).expect("it is right");
    bencher.bench(|| black_box(&statements).iter().try_for_each(validate).map_err(drop));
}

#[divan::bench]
fn compiling_a_regular_expression() -> bool {
    regex::compile(black_box("^server0[1-3]$")).is_ok()
}

/// A condition of a hundred alternatives, as generated queries have them.
#[divan::bench]
fn a_long_condition(bencher: Bencher<'_, '_>) {
    let hosts: Vec<String> = (0..100).map(|n| format!("host = 'server{n}'")).collect();
    let text = format!("SELECT v FROM m WHERE {}", hosts.join(" OR "));
    let params = Params::default();
    bencher.bench(|| parse(black_box(&text), &params, Limits::default()).map_err(drop));
}
