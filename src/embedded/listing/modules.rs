//! `SHOW STATS` and `SHOW DIAGNOSTICS`: what the store knows of itself, in 1.x's modules. Where 1.x has a number of the same meaning, it has 1.x's
//! name.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use jiff::Timestamp;

use super::{Engine, shards, texts};
use crate::{embedded::memory_of, error::Error, influxql::duration::format_go_duration, native};

/// What is counted since the start.
#[derive(Debug)]
pub(in crate::embedded) struct Counters {
    started: Timestamp,
    since: Instant,
    queries: AtomicU64,
    finished: AtomicU64,
    query_nanos: AtomicU64,
    writes: AtomicU64,
    points: AtomicU64,
    dropped: AtomicU64,
}

impl Counters {
    pub(in crate::embedded) fn new() -> Self {
        Self {
            started: Timestamp::now(),
            since: Instant::now(),
            queries: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            query_nanos: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            points: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// A query begins to run.
    pub(in crate::embedded) fn query_began(&self) {
        self.queries.fetch_add(1, Ordering::Relaxed);
    }

    /// It has ended, well or not.
    pub(in crate::embedded) fn query_ended(&self, took: Duration) {
        self.finished.fetch_add(1, Ordering::Relaxed);
        self.query_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A write was checked: so many points are kept, so many refused.
    pub(in crate::embedded) fn wrote(&self, points: usize, dropped: usize) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.points.fetch_add(points as u64, Ordering::Relaxed);
        self.dropped.fetch_add(dropped as u64, Ordering::Relaxed);
    }
}

/// A series of one row.
pub(super) struct Module {
    name: &'static str,
    tags: BTreeMap<&'static str, Box<str>>,
    /// Sorted by their names, as 1.x does.
    values: BTreeMap<&'static str, Value>,
}

pub(super) enum Value {
    Number(i64),
    Text(Box<str>),
}

impl Module {
    fn new<const N: usize>(name: &'static str, values: [(&'static str, Value); N]) -> Self {
        Self { name, tags: BTreeMap::new(), values: values.into() }
    }
}

fn number(value: impl TryInto<i64>) -> Value {
    Value::Number(value.try_into().unwrap_or(i64::MAX))
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

/// `SHOW STATS`
pub(super) fn stats(engine: &Engine) -> Result<Vec<Module>, Error> {
    let counters = &engine.0.counters;
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (queries, finished) = (load(&counters.queries), load(&counters.finished));
    let (resident, size, threads) = process();
    let mut modules = vec![
        Module::new("runtime", [("Alloc", number(resident)), ("NumGoroutine", number(threads)), ("Sys", number(size))]),
        Module::new(
            "queryExecutor",
            [
                ("queriesActive", number(queries.saturating_sub(finished))),
                ("queriesExecuted", number(queries)),
                ("queriesFinished", number(finished)),
                ("queryDurationNs", number(load(&counters.query_nanos))),
                ("queryMemoryBytes", number(engine.0.pool.used())),
            ],
        ),
    ];
    let mut mappings: Vec<_> = engine.0.catalog.mappings().into_iter().map(|(_, _, mapping)| mapping).collect();
    mappings.sort_by(|a, b| a.database.cmp(&b.database));
    for policies in mappings.chunk_by(|a, b| a.database == b.database) {
        let (mut names, mut series) = (std::collections::BTreeSet::new(), 0);
        for mapping in policies {
            let Ok(tables) = engine.snapshot(&mapping.bucket) else { continue };
            for name in tables.measurements() {
                series += tables.series(&name, i64::MIN..=i64::MAX)?.len();
                names.insert(name);
            }
        }
        let mut module = Module::new("database", [("numMeasurements", number(names.len())), ("numSeries", number(series))]);
        module.tags.insert("database", policies[0].database.clone());
        modules.push(module);
    }
    for shard in shards::all(engine) {
        let mut module = Module::new(
            "shard",
            [("cachedRows", number(shard.cached)), ("diskBytes", number(shard.bytes)), ("numFiles", number(shard.files))],
        );
        module.tags.extend([
            ("database", shard.database),
            ("engine", "parquet".into()),
            ("id", shard.id.to_string().into()),
            ("retentionPolicy", shard.retention_policy),
        ]);
        modules.push(module);
    }
    modules.push(Module::new("cache", [("memBytes", number(memory_of(&engine.0.memory).bytes()))]));
    modules.push(Module::new(
        "write",
        [
            ("pointReq", number(load(&counters.points).saturating_add(load(&counters.dropped)))),
            ("req", number(load(&counters.writes))),
            ("writeDrop", number(load(&counters.dropped))),
        ],
    ));
    Ok(modules)
}

/// `SHOW DIAGNOSTICS`
pub(super) fn diagnostics(engine: &Engine) -> Vec<Module> {
    let counters = &engine.0.counters;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let limits = &engine.0.limits;
    vec![
        Module::new(
            "build",
            [("Branch", text("")), ("Build Time", text("")), ("Commit", text("")), ("Version", text(env!("CARGO_PKG_VERSION")))],
        ),
        Module::new(
            "config-limits",
            [
                ("max-concurrent-queries", number(limits.concurrent_queries)),
                ("max-query-memory", number(limits.query_memory)),
                ("query-timeout", text(&go_duration(limits.query_timeout))),
                ("write-timeout", text(&go_duration(limits.write_timeout))),
            ],
        ),
        Module::new("network", [("hostname", text(&hostname()))]),
        Module::new(
            "runtime",
            [
                ("GOARCH", text(architecture)),
                ("GOMAXPROCS", number(threads)),
                ("GOOS", text(std::env::consts::OS)),
                ("version", text("rust")),
            ],
        ),
        Module::new(
            "system",
            [
                ("PID", number(std::process::id())),
                ("currentTime", text(&Timestamp::now().to_string())),
                ("started", text(&counters.started.to_string())),
                ("uptime", text(&go_duration(counters.since.elapsed()))),
            ],
        ),
    ]
}

/// One row a value. 1.x's series have columns of their own each, which a batch can't have.
pub(super) fn batch(modules: &[Module], wanted: Option<&str>) -> Result<RecordBatch, Error> {
    let wanted = |module: &&Module| wanted.is_none_or(|wanted| wanted == module.name);
    let rows: Vec<_> = modules
        .iter()
        .filter(wanted)
        .flat_map(|module| {
            let tags = serde_json::to_string(&module.tags).unwrap_or_default();
            module.values.iter().map(move |(key, value)| (module.name, tags.clone(), *key, value))
        })
        .collect();
    let fields = vec![
        Field::new(native::MEASUREMENT_COLUMN, DataType::Utf8, false),
        Field::new(native::MODULE_TAGS, DataType::Utf8, false),
        Field::new(native::MODULE_KEY, DataType::Utf8, false),
        Field::new(native::MODULE_NUMBER, DataType::Int64, true),
        Field::new(native::MODULE_TEXT, DataType::Utf8, true),
    ];
    let numbers = rows.iter().map(|(_, _, _, value)| match value {
        Value::Number(number) => Some(*number),
        Value::Text(_) => None,
    });
    let values = rows.iter().map(|(_, _, _, value)| match value {
        Value::Number(_) => None,
        Value::Text(text) => Some(&**text),
    });
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter(numbers));
    let values: ArrayRef = Arc::new(StringArray::from_iter(values));
    let columns = vec![
        texts(rows.iter().map(|row| row.0)),
        texts(rows.iter().map(|row| &*row.1)),
        texts(rows.iter().map(|row| row.2)),
        numbers,
        values,
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(Error::internal)
}

/// Resident bytes, all mapped bytes and threads of this process; zeros where the system doesn't say.
fn process() -> (u64, u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = |key: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    (value("VmRSS") << 10, value("VmSize") << 10, value("Threads"))
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().to_owned()
}

/// As Go prints a duration: `1h2m3.5s`.
fn go_duration(duration: Duration) -> String {
    format_go_duration(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_rows() {
        let mut module = Module::new("shard", [("id", number(7_u8)), ("a", text("b"))]);
        module.tags.insert("database", "db".into());
        let modules = [module, Module::new("other", [("x", number(u64::MAX))])];
        assert_eq!(batch(&modules, None).unwrap().num_rows(), 3);
        let batch = batch(&modules, Some("shard")).unwrap();
        let column = |i: usize| arrow_array::cast::AsArray::as_string::<i32>(batch.column(i)).value(0).to_owned();
        assert_eq!((batch.num_rows(), &*column(1), &*column(2)), (2, r#"{"database":"db"}"#, "a"));
    }
}
