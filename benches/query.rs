//! What a dashboard query over the embedded store costs before anything is read, and with reading.
//!
//! `cargo bench --bench query`. Against a real InfluxDB 1.6.7: `benches/tsbs.py`.

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::AtomicBool},
};

use divan::{AllocProfiler, Bencher, black_box};
use v1shim::{
    Error, config,
    embedded::{
        Engine, Tables, Write,
        query::{Context, Limits, MemoryPool, Siblings, plan},
    },
    influxql::{self, Params},
    types::Precision,
};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

/// One host of a hundred, an hour, a minute each.
const DASHBOARD: &str = "SELECT max(usage_user) FROM cpu WHERE hostname = 'host_42' AND time >= 1700000000s AND time < 1700003600s \
                         GROUP BY time(1m), hostname fill(null)";

fn main() {
    divan::main();
}

/// A store with an hour of a hundred hosts, ten tags, ten fields.
struct Store {
    engine: Engine,
    _runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

fn store() -> Store {
    let dir = tempfile::tempdir().expect("there is room");
    let runtime = tokio::runtime::Runtime::new().expect("there are threads");
    let config = config::Embedded { data_dir: dir.path().to_owned(), ..config::Embedded::default() };
    let engine = runtime.block_on(async {
        let engine = Engine::open(&config, config::Limits::default()).await?;
        engine.catalog().create(&v1shim::access::Identity::unrestricted(None), "bench", None).await?;
        for minute in 0..60 {
            let mut body = String::new();
            for host in 0..100 {
                let (region, time) = (host % 9, 1_700_000_000 + minute * 60);
                let _ = write!(
                    body,
                    "cpu,hostname=host_{host},region=r{region},datacenter=d{region},rack={host},os=linux,arch=x64,team=t{region},\
                     service=s{region},service_version=1,service_environment=test "
                );
                for field in ["user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"] {
                    let _ = write!(body, "{}usage_{field}={minute}", if field == "user" { "" } else { "," });
                }
                let _ = writeln!(body, " {time}");
            }
            let unit = v1shim::lineprotocol::Unit::Of(Precision::Second);
            engine.write(Write { bucket: "bench/autogen".into(), body: body.into(), unit, accept_partial: false }).await?;
        }
        Ok::<_, Error>(engine)
    });
    Store { engine: engine.expect("the store takes it"), _runtime: runtime, _dir: dir }
}

/// Calls `with` with a snapshot's context, as the store makes one for each statement.
fn in_context<R>(store: &Store, with: impl FnOnce(&Context<'_>) -> R) -> R {
    let (cancelled, pool, siblings) = (AtomicBool::new(false), MemoryPool::new(1 << 30), Siblings::new());
    let tables = |bucket: &str| -> Result<Arc<dyn Tables>, Error> { store.engine.snapshot(bucket) };
    with(&Context {
        tables: &tables,
        bucket: "bench/autogen",
        siblings: &siblings,
        now: 1_700_003_600_000_000_000,
        cancelled: &cancelled,
        limits: Limits::default(),
        pool: &pool,
    })
}

#[divan::bench]
fn planning(bencher: Bencher<'_, '_>) {
    let store = store();
    let statements = influxql::parse(DASHBOARD, &Params::default(), influxql::Limits::default()).expect("it is right");
    bencher.bench_local(|| in_context(&store, |context| drop(black_box(plan(&statements[0], context)))));
}

#[divan::bench]
fn running(bencher: Bencher<'_, '_>) {
    let store = store();
    let statements = influxql::parse(DASHBOARD, &Params::default(), influxql::Limits::default()).expect("it is right");
    bencher.bench_local(|| {
        in_context(&store, |context| {
            let mut rows = 0;
            plan(&statements[0], context)
                .and_then(|plan| {
                    plan.run(&mut |batch| {
                        rows += batch.num_rows();
                        Ok(())
                    })
                })
                .expect("it runs");
            // The hour begins within a minute.
            assert_eq!(rows, 61);
        });
    });
}
