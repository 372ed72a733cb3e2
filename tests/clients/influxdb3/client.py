"""influxdb3-python, a client of InfluxDB 3: it writes to v3's and v2's paths and queries by Arrow Flight, all of which a shim hands on.

It is run against the shim before an embedded store, and against shims of its own before a Flight server that says what it saw.
The environment (see ../README.md) names the former. Each check prints one `ok`/`FAIL` line; the program fails when one of them does.
"""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request

import pyarrow as pa
from influxdb_client_3 import InfluxDBClient3, Point, WriteOptions, WritePrecision, write_client_options
from influxdb_client_3.exceptions import InfluxDB3ClientQueryError, InfluxDBError, InfluxDBPartialWriteError
from influxdb_client_3.write_client.client.write_api import WriteType
from pyarrow import flight

from flight_server import Server

URL = os.environ["V1_URL"]
TLS_URL = os.environ["V1_TLS_URL"]
CA = os.environ["V1_CA"]
TOKEN = os.environ["V1_TOKEN"]
READER = os.environ["V1_READER_TOKEN"]
BACKEND = os.environ["V1_BACKEND_TOKEN"]
WORK = os.environ["V1_WORK"]
DB = "influxdb3"
# 2023-04-24T17:56:13.123456789Z
NS = 1682358973123456789

failures = 0


def check(name):
    """Runs the decorated function at once and reports how it went."""

    def run(function):
        global failures
        try:
            function()
        except Exception as error:  # noqa: BLE001 (a check may fail in any way)
            failures += 1
            detail = "".join(traceback.format_exception_only(type(error), error)).strip()
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == __file__]
            print(f"FAIL {name}: line {lines[-1]}: {detail}".replace("\n", " "), flush=True)
        else:
            print(f"ok {name}", flush=True)
        return function

    return run


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def client(url=URL, token=TOKEN, database=DB, options=None, **kwargs):
    options = WriteOptions(write_type=WriteType.synchronous, **(options or {}))
    return InfluxDBClient3(
        host=url, token=token, database=database, write_client_options=write_client_options(write_options=options), **kwargs
    )


def v1(query, url=URL, database=DB):
    """The series that a v1 client reads, times in nanoseconds."""
    parameters = urllib.parse.urlencode({"db": database, "q": query, "epoch": "ns"})
    request = urllib.request.Request(f"{url}/query?{parameters}", headers={"Authorization": f"Token {TOKEN}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        (result,) = json.load(answer)["results"]
    assert "error" not in result, result
    return [(series["columns"], series["values"]) for series in result.get("series", [])]


def raises(kind, call, *parts):
    """Calls, and expects an error of that kind whose text has every part."""
    try:
        got = call()
    except kind as error:
        for part in parts:
            assert part in str(error), f"{part!r} is not in {error}"
        return error
    raise AssertionError(f"it was accepted: {got!r}")


# === writes, and what a v1 client then reads ===


@check("the server's version")
def _():
    with client() as it:
        version = it.get_server_version()
    assert version.lstrip("v")[0].isdigit(), version


def points(measurement):
    return [
        Point(measurement)
        .tag("host name", "a=b, c")
        .field("f", 1.5)
        .field("i", -(2**62))
        .field("b", True)
        .field("s", 'say "hi" \\ ü')
        .time(NS),
        Point(measurement).tag("host name", "d").field("f", 2.0).time(NS + 1),
    ]


WRITTEN = [
    (
        ["time", "b", "f", "host name", "i", "s"],
        [[NS, True, 1.5, "a=b, c", -(2**62), 'say "hi" \\ ü'], [NS + 1, None, 2, "d", None, None]],
    )
]

for label, options, more in [
    ("v3's path", {"use_v2_api": False}, {}),
    ("v3's path, in gzip", {"use_v2_api": False}, {"enable_gzip": True}),
    ("v3's path, all or nothing", {"use_v2_api": False, "accept_partial": False}, {}),
    ("v3's path, the Bearer scheme", {"use_v2_api": False}, {"auth_scheme": "Bearer"}),
    # Which makes no databases, as v2 doesn't.
    ("v2's path", {"use_v2_api": True}, {}),
    ("v2's path, in gzip", {"use_v2_api": True}, {"enable_gzip": True}),
]:

    @check(f"write to {label}")
    def _():
        measurement = "types, " + label
        with client(options=options, **more) as it:
            it.write(points(measurement))
        equal(v1(f'SELECT * FROM "{measurement}"'), WRITTEN)


@check("write: every precision keeps its meaning")
def _():
    for use_v2_api in (True, False):
        with client(options={"use_v2_api": use_v2_api}) as it:
            units = [(WritePrecision.NS, 1), (WritePrecision.US, 10**3), (WritePrecision.MS, 10**6), (WritePrecision.S, 10**9)]
            for unit, factor in units:
                measurement = f"precision_{unit}_{use_v2_api}"
                it.write(f"{measurement} v=1i {NS // factor}", write_precision=unit)
                equal(v1(f"SELECT v FROM {measurement}"), [(["time", "v"], [[NS // factor * factor, 1]])])


@check("a partial write names its lines")
def _():
    with client(options={"use_v2_api": False}) as it:
        it.write("partial v=1i 1")
        lines = "partial v=2i 2\npartial\npartial v=3i 3"
        error = raises(InfluxDBError, lambda: it.write(lines), "partial")
        assert isinstance(error, InfluxDBPartialWriteError), type(error)
        equal([line.line_number for line in error.line_errors], [2])
    equal(v1("SELECT v FROM partial"), [(["time", "v"], [[1, 1], [2, 2], [3, 3]])])


@check("a token that nobody knows, and one that may not")
def _():
    for token, status in (("wrong", 401), (READER, 403)):
        for use_v2_api in (True, False):
            with client(token=token, options={"use_v2_api": use_v2_api}) as it:
                error = raises(InfluxDBError, lambda: it.write("refused v=1i 1"))
                equal(error.response.status, status)
    equal(v1("SELECT v FROM refused"), [])


@check("write over https")
def _():
    with client(TLS_URL, options={"use_v2_api": False}, ssl_ca_cert=CA) as it:
        it.write("secure v=1i 1")
    context = ssl.create_default_context(cafile=CA)
    request = urllib.request.Request(f"{TLS_URL}/query?db={DB}&q=SELECT+v+FROM+secure&epoch=ns&p={TOKEN}")
    with urllib.request.urlopen(request, timeout=20, context=context) as answer:
        equal(json.load(answer)["results"][0]["series"][0]["values"], [[1, 1]])


# === queries in InfluxQL, to the embedded store below ===


@check("InfluxQL over Flight: what was written")
def _():
    with client() as it:
        table = it.query('SELECT * FROM "types, v3\'s path"', language="influxql")
        equal(table.column_names, ["iox::measurement", "time", "b", "f", "host name", "i", "s"])
        rows = table.drop_columns("time").to_pydict()
        equal(rows["iox::measurement"], ["types, v3's path"] * 2)
        equal(table.column("time").cast(pa.int64()).to_pylist(), [NS, NS + 1])
        equal((rows["b"], rows["f"], rows["i"]), ([True, None], [1.5, 2.0], [-(2**62), None]))
        equal((rows["host name"], rows["s"]), (["a=b, c", "d"], ['say "hi" \\ ü', None]))
        grouped = it.query('SELECT max(f) FROM "types, v3\'s path" GROUP BY "host name"', language="influxql")
        equal(grouped.column("host name").to_pylist(), ["a=b, c", "d"])
        assert b"iox::influxql::group_key::metadata" in grouped.schema.metadata, grouped.schema.metadata
        bound = it.query("SELECT v FROM partial WHERE v > $v", language="influxql", query_parameters={"v": 1})
        equal(bound.column("v").to_pylist(), [2, 3])
        equal(it.query("SELECT v FROM nosuch", language="influxql").num_rows, 0)
        listed = it.query("SHOW MEASUREMENTS", language="influxql")
        assert "partial" in listed.column("name").to_pylist(), listed
    with client(TLS_URL, ssl_ca_cert=CA) as it:
        equal(it.query("SELECT v FROM secure", language="influxql").column("v").to_pylist(), [1])


@check("InfluxQL over Flight: ten thousand rows, asynchronously and in chunks")
def _():
    with client(options={"use_v2_api": False}) as it:
        it.write("\n".join(f"many v={n}i {n}" for n in range(10_000)))
        table = asyncio.run(it.query_async("SELECT v FROM many", language="influxql"))
        equal(table.column("v").to_pylist(), list(range(10_000)))
        chunks = it.query("SELECT v FROM many", language="influxql", mode="chunk")
        equal(sum((chunk.data.column("v").to_pylist() for chunk in chunks), []), list(range(10_000)))


@check("InfluxQL over Flight: what is wrong is said, and nobody reads what he may not")
def _():
    for token, query, database, words in (
        (TOKEN, "SELECT FROM", DB, "error parsing query: found FROM"),
        (TOKEN, "SELECT v FROM m", "nosuch", "nosuch"),
        (TOKEN, "DROP MEASUREMENT partial", DB, "DROP"),
        (READER, "SELECT v FROM partial", DB, "reader"),
        ("wrong", "SELECT v FROM partial", DB, "authorization failed"),
    ):
        with client(token=token, database=database) as it:
            raises(InfluxDB3ClientQueryError, lambda: it.query(query, language="influxql"), words)
    with client() as it:
        raises(InfluxDB3ClientQueryError, lambda: it.query("SELECT v FROM partial"), "sql")
    equal(v1("SELECT count(v) FROM partial"), [(["time", "count"], [[0, 3]])])


# === queries, to a Flight server ===


class Shim:
    """A shim before a Flight server."""

    def __init__(self, name, mode, upstream, tls=False):
        self.dir = os.path.join(WORK, name)
        os.makedirs(self.dir)
        tokens = f"""
[[auth.token]]
name = "clients"
token = "{TOKEN}"
access = "all"
[[auth.token]]
name = "reader"
token = "{READER}"
access = [{{{{ bucket = "d", read = true }}}}]
"""
        config = f"""
[server]
listen = "127.0.0.1:{{port}}"
[backend]
kind = "upstream"
[upstream]
url = "http://127.0.0.1:{upstream}"
token = "{BACKEND}"
[auth]
mode = "{mode}"
{tokens if mode == "local" else ""}
"""
        if tls:
            config += f'[server.tls]\ncert = "{os.environ["V1_CERT"]}"\nkey = "{os.environ["V1_KEY"]}"\n'
        self.port = free_port()
        with open(os.path.join(self.dir, "server.toml"), "w", encoding="utf-8") as file:
            file.write(config.format(port=self.port))
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.log = os.path.join(self.dir, "log")
        self.process = subprocess.Popen(
            [os.environ["V1SHIM_BIN"], "--config", os.path.join(self.dir, "server.toml")],
            stdin=subprocess.DEVNULL,
            stdout=open(self.log, "wb"),
            stderr=subprocess.STDOUT,
        )
        wait_for(lambda: listens(self.port), f"the shim {name} starts: {open(self.log).read()}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "it had to be killed"


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


server = Server()
shims = {
    "local": Shim("local", "local", server.port),
    "passthrough": Shim("passthrough", "passthrough", server.port),
    "tls": Shim("tls", "local", server.port, tls=True),
}
local = client(shims["local"].url, database="d")


def raw(shim="local", token=TOKEN):
    """pyarrow's own client, for what influxdb3-python doesn't do."""
    it = flight.connect(f"grpc+tcp://127.0.0.1:{shims[shim].port}")
    return it, flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())], timeout=30)


@check("SQL: all types come back as the server sent them")
def _():
    table = local.query("types")
    assert table.equals(server.types), table
    equal(table.schema.metadata, server.types.schema.metadata)
    equal([field.metadata for field in table.schema], [field.metadata for field in server.types.schema])


@check("SQL: every mode of the client")
def _():
    assert local.query("types", mode="reader").read_all().equals(server.types)
    assert local.query("types", mode="schema").equals(server.types.schema)
    chunks = local.query("types", mode="chunk")
    equal(sum(chunk.data.num_rows for chunk in chunks), server.types.num_rows)
    assert asyncio.run(local.query_async("types")).equals(server.types)


@check("SQL: the ticket arrives as it was sent, parameters and headers with it")
def _():
    local.query(
        "types -- é",
        query_parameters={"room": "kitchen", "n": 7, "none": None},
        headers=[(b"x-custom", b"kept"), (b"x-binary-bin", b"\x00\xff")],
    )
    ticket, headers = server.seen[-1]
    equal(
        ticket,
        {"database": "d", "sql_query": "types -- é", "query_type": "sql", "params": {"room": "kitchen", "n": 7, "none": None}},
    )
    equal((headers["x-custom"], headers["x-binary-bin"]), (["kept"], [b"\x00\xff"]))
    local.query("SELECT f /* é */ FROM home", language="influxql", database="other")
    ticket, _ = server.seen[-1]
    equal(ticket, {"database": "other", "sql_query": "SELECT f /* é */ FROM home", "query_type": "influxql"})


@check("the server gets its own token, in mode passthrough the client's")
def _():
    local.query("types")
    equal(server.seen[-1][1]["authorization"], [f"Bearer {BACKEND}"])
    with client(shims["passthrough"].url, token="whoever", database="d") as it:
        it.query("types")
    equal(server.seen[-1][1]["authorization"], ["Bearer whoever"])


@check("a token that nobody knows, and one that may not, don't reach the server")
def _():
    before = len(server.seen)
    for token, options, kind, words in (
        ("wrong", {}, flight.FlightUnauthenticatedError, "authorization failed"),
        # Who knows what SQL reads: it needs all access.
        (READER, {}, flight.FlightUnauthorizedError, "reader"),
        (READER, {"language": "influxql", "database": "other"}, flight.FlightUnauthorizedError, "reader"),
        (TOKEN, {"language": "influxql", "query": "DROP MEASUREMENT m"}, pa.ArrowInvalid, "DROP"),
    ):
        with client(shims["local"].url, token=token, database="d") as it:
            error = raises(InfluxDB3ClientQueryError, lambda: it.query(**{"query": "SELECT f FROM home", **options}), words)
            assert isinstance(error.__context__, kind), repr(error.__context__)
    equal(len(server.seen), before)
    with client(shims["local"].url, token=READER, database="d") as it:
        assert it.query("SELECT f FROM home", language="influxql").equals(server.types)


@check("the server's own errors arrive with their words and codes")
def _():
    for query, kind in (
        ("error invalid", pa.ArrowInvalid),
        ("error internal", flight.FlightInternalError),
        ("error unavailable", flight.FlightUnavailableError),
        ("error unauthenticated", flight.FlightUnauthenticatedError),
        ("error unauthorized", flight.FlightUnauthorizedError),
        ("error missing", KeyError),
    ):
        it, options = raw()
        error = raises(kind, lambda: it.do_get(flight.Ticket(json.dumps({"sql_query": query})), options).read_all())
        assert "table 'nosuch' not found: é" in str(error), error
    raises(InfluxDB3ClientQueryError, lambda: local.query("error invalid"), "table 'nosuch' not found")


@check("an error behind the first rows is an error, never a short answer")
def _():
    raises(InfluxDB3ClientQueryError, lambda: local.query("late"), "gave up after 3 batches")


@check("a million rows arrive, each once and in order")
def _():
    table = local.query("rows 1000000")
    equal(table.num_rows, 1_000_000)
    assert table.column("n").combine_chunks().equals(pa.array(range(1_000_000), pa.int64()))


@check("a batch of 32 MB arrives")
def _():
    table = local.query("wide 33554432")
    equal(len(table.column("s")[0].as_buffer()), 33554432)


@check("rows come while the server still makes others")
def _():
    server.release.clear()
    reader = local.query("waiting", mode="chunk")
    equal(reader.read_chunk().data.column("n").to_pylist(), [0])
    assert not server.release.is_set()
    server.release.set()
    equal(reader.read_chunk().data.column("n").to_pylist(), [1])
    raises(StopIteration, reader.read_chunk)


@check("a reader that stops is heard of by the server, and a slow one holds it up")
def _():
    server.cancelled.clear()
    reader = local.query("endless", mode="chunk")
    reader.read_chunk()
    time.sleep(1)
    made = server.made
    # 64 kB a batch: what waits between the server and a reader that doesn't read is bounded.
    assert made < 1000, f"{made} batches are on their way"
    reader.cancel()
    assert server.cancelled.wait(20), "the server still makes rows"


@check("twenty queries at once over one connection")
def _():
    results, threads = [None] * 20, []

    def ask(index):
        results[index] = local.query(f"rows {1000 + index}").num_rows

    for index in range(20):
        threads.append(threading.Thread(target=ask, args=(index,)))
        threads[-1].start()
    for thread in threads:
        thread.join(60)
    equal(results, [1000 + index for index in range(20)])


@check("streams go both ways: DoPut, DoExchange, actions and lists")
def _():
    it, options = raw()
    writer, reader = it.do_put(flight.FlightDescriptor.for_path("p"), server.types.schema, options)
    writer.write_table(server.types)
    writer.done_writing()
    equal(json.loads(reader.read().to_pybytes()), {"rows": server.types.num_rows})
    writer.close()
    writer, reader = it.do_exchange(flight.FlightDescriptor.for_command(b"echo"), options)
    writer.begin(server.types.schema)
    for _ in range(3):
        writer.write_table(server.types)
        assert pa.Table.from_batches([reader.read_chunk().data]).equals(server.types), "each comes back before the next is sent"
    writer.close()
    equal([bytes(result.body) for result in it.do_action(flight.Action("echo", b"\x00\x01"), options)], [b"\x00\x01"])
    equal([info.total_records for info in it.list_flights(options=options)], [server.types.num_rows])
    info = it.get_flight_info(flight.FlightDescriptor.for_command(b"types"), options)
    assert it.do_get(info.endpoints[0].ticket, options).read_all().equals(server.types)


@check("queries over https")
def _():
    with client(shims["tls"].url, database="d", ssl_ca_cert=CA) as it:
        assert it.query("types").equals(server.types)
        raises(InfluxDB3ClientQueryError, lambda: it.query("error invalid"), "table 'nosuch' not found")


@check("v1's own paths and gRPC live on one port")
def _():
    with urllib.request.urlopen(f"{shims['local'].url}/ping", timeout=5) as answer:
        equal(answer.status, 204)
    request = urllib.request.Request(f"{shims['local'].url}/query?q=DROP+DATABASE+x&p={TOKEN}", method="POST")
    error = raises(urllib.error.HTTPError, lambda: urllib.request.urlopen(request, timeout=5))
    equal(error.code, 400)
    assert local.query("types").equals(server.types)


@check("a server that goes and comes back")
def _():
    global server
    port = server.port
    server.shutdown()
    error = raises(InfluxDB3ClientQueryError, lambda: local.query("types"), "upstream can't be reached")
    assert isinstance(error.__context__, flight.FlightUnavailableError), repr(error.__context__)
    server = Server(port)
    wait_for(lambda: listens(port), "the server comes back")

    def works():
        try:
            return local.query("types").equals(server.types)
        except InfluxDB3ClientQueryError:
            return False

    wait_for(works, "queries work again", 40)


local.close()
for name, shim in shims.items():

    @check(f"the shim ends well: {name}")
    def _():
        equal(shim.stop(), 0)


server.shutdown()
sys.stdout.flush()
# gRPC's own threads may not be waited for.
os._exit(1 if failures else 0)
