"""influxdb-python against a v1 server: every assertion is on a value read back.

The environment (see ../README.md) names the server. Each check prints one
`ok`/`FAIL` line; the program fails when one of them does.
"""

import json
import os
import sys
import traceback
import warnings

import numpy as np
import pandas as pd
import urllib3
from influxdb import DataFrameClient, InfluxDBClient
from influxdb.exceptions import InfluxDBClientError

# The documented snippet does not verify certificates (the client's default), and
# the library still uses pandas calls that announce their removal.
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
warnings.simplefilter("ignore", FutureWarning)

HOST = os.environ["V1_HOST"]
PORT = int(os.environ["V1_PORT"])
TOKEN = os.environ["V1_TOKEN"]
USER = os.environ["V1_USER"]
PROFILE = os.environ["V1_PROFILE"]
SHIM = PROFILE != "influxd"
SERVERLESS = PROFILE == "serverless"
DB = "python"

# 2023-04-24T17:56:13.123456789Z
NS = 1682358973123456789
HOUR = 3600 * 10**9

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
            where = traceback.extract_tb(error.__traceback__)[-1].lineno
            for frame in traceback.extract_tb(error.__traceback__):
                if frame.filename == __file__:
                    where = frame.lineno
            print(f"FAIL {name}: line {where}: {detail}".replace("\n", " "), flush=True)
        else:
            print(f"ok {name}", flush=True)
        return function

    return run


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def client(**kwargs):
    options = {"host": HOST, "port": PORT, "username": USER, "password": TOKEN, "database": DB}
    options.update(kwargs)
    return InfluxDBClient(**options)


def rejected(call, status, *parts):
    """Calls, and expects a client error of that status naming every part."""
    try:
        call()
    except InfluxDBClientError as error:
        equal(error.code, status)
        for part in parts:
            assert part in str(error.content), f"{part!r} is not in {error.content!r}"
        return error
    raise AssertionError("it was accepted")


basic = client()


@check("ping gives the server's version")
def _():
    version = basic.ping()
    assert version.lstrip("v")[0].isdigit(), f"got {version!r}"


@check("write_points: all field types, tags and escapes come back as written")
def _():
    assert basic.write_points(
        [
            {
                "measurement": "types, all",
                "tags": {"host name": "a=b, c", "region": "eu"},
                "time": NS,
                "fields": {"f": 1.5, "whole": 3.0, "i": -(2**62), "b": True, "s": 'say "hi" \\ ü'},
            }
        ]
    )
    rows = list(basic.query('SELECT * FROM "types, all"', epoch="ns").get_points())
    equal(
        rows,
        [
            {
                "time": NS,
                "b": True,
                "f": 1.5,
                "host name": "a=b, c",
                "i": -(2**62),
                "region": "eu",
                "s": 'say "hi" \\ ü',
                "whole": 3.0,
            }
        ],
    )


@check("write_points: every time_precision keeps its meaning")
def _():
    units = {"n": 1, "u": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": HOUR}
    for unit, factor in units.items():
        point = [{"measurement": "units", "tags": {"unit": unit}, "time": NS // factor, "fields": {"v": 1}}]
        if unit == "u" and SERVERLESS:
            error = rejected(lambda: basic.write_points(point, time_precision=unit), 400)
            body = json.loads(error.content)
            equal(body["code"], "invalid")
            equal(
                body["message"],
                "failed to deserialize db/rp/precision in request: "
                "unknown variant `u`, expected one of `s`, `ms`, `us`, `ns`",
            )
            continue
        assert basic.write_points(point, time_precision=unit)
        rows = list(basic.query(f"SELECT v FROM units WHERE unit = '{unit}'", epoch="ns").get_points())
        equal(rows, [{"time": NS // factor * factor, "v": 1}])


@check("write_points without a time is stamped by the server")
def _():
    before = pd.Timestamp.now(tz="UTC").value
    assert basic.write_points([{"measurement": "now", "fields": {"v": 1}}])
    (row,) = basic.query("SELECT v FROM now", epoch="ns").get_points()
    assert before - 10**9 <= row["time"] <= pd.Timestamp.now(tz="UTC").value + 10**9, row


@check("write_points: global tags, batch_size, line protocol, consistency")
def _():
    points = [{"measurement": "batch", "time": NS + i, "fields": {"v": i}} for i in range(25)]
    assert basic.write_points(points, tags={"run": "one"}, batch_size=7, consistency="any")
    rows = list(basic.query("SELECT v, run FROM batch", epoch="ns").get_points())
    equal(rows, [{"time": NS + i, "v": i, "run": "one"} for i in range(25)])
    lines = [f"lines v={i}i {NS + i}" for i in range(3)]
    assert basic.write_points(lines, protocol="line")
    equal([row["v"] for row in basic.query("SELECT v FROM lines").get_points()], [0, 1, 2])


@check("the default reply is MessagePack, its times as in RFC 3339")
def _():
    reply = basic.request("query", params={"db": DB, "q": 'SELECT f, i, b, s FROM "types, all"'})
    # The client itself rounds the nanoseconds of the extension type.
    equal(reply.headers["Content-Type"], "application/x-msgpack")
    equal(
        reply._msgpack,
        {
            "results": [
                {
                    "statement_id": 0,
                    "series": [
                        {
                            "name": "types, all",
                            "columns": ["time", "f", "i", "b", "s"],
                            "values": [["2023-04-24T17:56:13.123457Z", 1.5, -(2**62), True, 'say "hi" \\ ü']],
                        }
                    ],
                }
            ]
        },
    )


@check("JSON gives the same points, with nanoseconds")
def _():
    json_client = client(headers={"Accept": "application/json"})
    result = json_client.query('SELECT f, i FROM "types, all"')
    equal(list(result.get_points()), [{"time": "2023-04-24T17:56:13.123456789Z", "f": 1.5, "i": -(2**62)}])


@check("epoch: every unit")
def _():
    for unit, factor in {"ns": 1, "u": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": HOUR}.items():
        (row,) = basic.query('SELECT f FROM "types, all"', epoch=unit).get_points()
        equal(row["time"], NS // factor)


@check("GROUP BY gives one series a tag value, with its tags")
def _():
    basic.write_points(
        [
            {"measurement": "cpu", "tags": {"host": h}, "time": NS + i * 10**9, "fields": {"load": float(i + o)}}
            for o, h in enumerate("ab")
            for i in range(3)
        ]
    )
    result = basic.query("SELECT mean(load), count(load) FROM cpu GROUP BY host", epoch="ns")
    equal(result.keys(), [("cpu", {"host": "a"}), ("cpu", {"host": "b"})])
    equal(list(result.get_points(tags={"host": "a"})), [{"time": 0, "mean": 1.0, "count": 3}])
    equal(list(result.get_points(measurement="cpu", tags={"host": "b"})), [{"time": 0, "mean": 2.0, "count": 3}])


@check("several statements give several result sets")
def _():
    results = basic.query("SELECT sum(load) FROM cpu; SELECT max(load) FROM cpu WHERE host = 'b'", epoch="ns")
    equal([list(r.get_points()) for r in results], [[{"time": 0, "sum": 9.0}], [{"time": NS + 2 * 10**9, "max": 3.0}]])


@check("nothing found is an empty result set, not an error")
def _():
    result = basic.query("SELECT load FROM cpu WHERE host = 'nobody'")
    equal(len(result), 0)
    equal(list(result.get_points()), [])


@check("bind_params: string, number, boolean, time")
def _():
    query = "SELECT load FROM cpu WHERE host = $host AND load > $load AND time <= $time"
    bind = {"host": "a", "load": 0.5, "time": "2023-04-24T17:56:15.123456789Z"}
    rows = list(basic.query(query, bind_params=bind, epoch="s").get_points())
    equal([row["load"] for row in rows], [1.0, 2.0])
    # A bound value is a value: nothing in it can become InfluxQL.
    bind["host"] = "a' OR host = 'b"
    equal(list(basic.query(query, bind_params=bind).get_points()), [])
    rows = list(basic.query('SELECT i FROM "types, all" WHERE b = $b', bind_params={"b": True}).get_points())
    equal([row["i"] for row in rows], [-(2**62)])


@check("chunked: documents end in newlines, ordered, nothing lost")
def _():
    chunks = list(
        client(headers={"Accept": "application/json"}).query(
            "SELECT v FROM batch", epoch="ns", chunked=True, chunk_size=10
        )
    )
    sizes = [len(list(chunk.get_points())) for chunk in chunks]
    equal(sizes, [25] if SERVERLESS else [10, 10, 5])
    equal([row["v"] for chunk in chunks for row in chunk.get_points()], list(range(25)))


@check("chunked and MessagePack, in one chunk")
def _():
    result = basic.query("SELECT v FROM batch", epoch="ns", chunked=True)
    equal([row["v"] for row in result.get_points()], list(range(25)))


@check("gzip both ways, also on a GET without a body")
def _():
    zipped = client(gzip=True)
    points = [{"measurement": "zipped", "time": NS + i, "fields": {"v": i}} for i in range(1000)]
    assert zipped.write_points(points)
    rows = list(zipped.query("SELECT v FROM zipped", epoch="ns").get_points())
    equal(rows, [{"time": NS + i, "v": i} for i in range(1000)])


@check("POST queries with an empty body")
def _():
    result = basic.query("SELECT count(load) FROM cpu", method="POST", epoch="ns")
    equal(list(result.get_points()), [{"time": 0, "count": 6}])


@check("retention_policy is honoured in write and in query")
def _():
    assert basic.write_points(
        [{"measurement": "kept", "time": NS, "fields": {"v": 7}}], retention_policy="weekly"
    )
    equal(list(basic.query("SELECT v FROM kept", epoch="ns").get_points()), [])
    found = [{"time": NS, "v": 7}]
    equal(list(basic.query("SELECT v FROM kept", params={"rp": "weekly"}, epoch="ns").get_points()), found)
    equal(list(basic.query("SELECT v FROM weekly.kept", epoch="ns").get_points()), found)
    equal(list(client(database="other").query(f"SELECT v FROM {DB}.weekly.kept", epoch="ns").get_points()), found)


@check("get_list_database")
def _():
    names = [database["name"] for database in basic.get_list_database()]
    assert DB in names, f"got {names}"
    equal(len(names), len(set(names)))


@check("get_list_measurements")
def _():
    names = [measurement["name"] for measurement in basic.get_list_measurements()]
    wanted = ["batch", "cpu", "lines", "now", "types, all", "units", "zipped"]
    equal([name for name in names if name in wanted], wanted)


@check("get_list_retention_policies")
def _():
    policies = {policy["name"]: policy for policy in basic.get_list_retention_policies(DB)}
    assert {"autogen", "weekly"} <= set(policies), f"got {policies}"
    equal(policies["autogen"]["default"], True)
    equal(policies["weekly"]["default"], False)


@check("get_list_series")
def _():
    equal(basic.get_list_series(measurement="cpu"), ["cpu,host=a", "cpu,host=b"])
    equal(basic.get_list_series(measurement="cpu", tags={"host": "b"}), ["cpu,host=b"])


@check("SHOW TAG KEYS, TAG VALUES and FIELD KEYS")
def _():
    equal(list(basic.query("SHOW TAG KEYS FROM cpu").get_points()), [{"tagKey": "host"}])
    equal(
        list(basic.query("SHOW TAG VALUES FROM cpu WITH KEY = host").get_points()),
        [{"key": "host", "value": "a"}, {"key": "host", "value": "b"}],
    )
    equal(
        sorted(
            (row["fieldKey"], row["fieldType"])
            for row in basic.query('SHOW FIELD KEYS FROM "types, all"').get_points()
        ),
        [("b", "boolean"), ("f", "float"), ("i", "integer"), ("s", "string"), ("whole", "float")],
    )


@check("a query that does not parse is a 400 in 1.x's words")
def _():
    rejected(lambda: basic.query("SELECT FROM cpu"), 400, "error parsing query: found FROM, expected")


@check("writing another type is a partial write that keeps the rest")
def _():
    basic.write_points([f"clash v=1.5 {NS}"], protocol="line")
    rejected(
        lambda: basic.write_points([f'clash v="text" {NS + 1}', f"clash v=2.5 {NS + 2}"], protocol="line"),
        400,
        "partial write: field type conflict: input field",
        "v",
        "dropped=1",
    )
    rows = list(basic.query("SELECT v FROM clash", epoch="ns").get_points())
    equal(rows, [{"time": NS, "v": 1.5}, {"time": NS + 2, "v": 2.5}])


@check("a line that does not parse is named")
def _():
    rejected(lambda: basic.write_points(["nonsense"], protocol="line"), 400, "unable to parse", "nonsense")


@check("a wrong password is a 401")
def _():
    rejected(lambda: client(password="wrong").query("SELECT load FROM cpu"), 401)
    rejected(lambda: client(password="wrong").write_points([f"cpu load=9 {NS}"], protocol="line"), 401)


@check("u and p in the URL, for write and query")
def _():
    url = InfluxDBClient(host=HOST, port=PORT, username=None, password=None, database=DB + "_query")
    credentials = {"u": USER, "p": TOKEN}
    assert url.write([f"auth v=1i {NS}"], params={"db": DB + "_query", **credentials}, protocol="line")
    rows = list(url.query("SELECT v FROM auth", params=dict(credentials), epoch="ns").get_points())
    equal(rows, [{"time": NS, "v": 1}])
    rejected(lambda: url.query("SELECT v FROM auth", params={"u": USER, "p": "wrong"}), 401)
    rejected(lambda: url.query("SELECT v FROM auth"), 401)


if SHIM:

    @check("Token and Bearer, for write and query")
    def _():
        for number, value in enumerate((f"Token {TOKEN}", f"Bearer {TOKEN}", f"Token {USER}:{TOKEN}")):
            header = client(database=DB + "_token", headers={"Authorization": value})
            assert header.write_points([{"measurement": "auth", "time": NS + number, "fields": {"v": number}}])
            rows = list(header.query(f"SELECT v FROM auth WHERE v = {number}", epoch="ns").get_points())
            equal(rows, [{"time": NS + number, "v": number}])
        rejected(lambda: client(headers={"Authorization": "Token wrong"}).query("SELECT v FROM auth"), 401)

    @check("the documented snippet writes and reads, over https")
    def _():
        snippet = InfluxDBClient(
            host=HOST,
            port=int(os.environ["V1_TLS_PORT"]),
            ssl=True,
            database="BUCKET_NAME",
            username="",
            password=TOKEN,
            headers={"Content-Type": "text/plain; charset=utf-8"},
        )
        points = [{"measurement": "home", "tags": {"room": "kitchen"}, "time": 1463683075, "fields": {"temp": 72.0}}]
        assert snippet.write_points(points, time_precision="s", retention_policy="RETENTION_POLICY")
        rows = list(
            snippet.query("SELECT * FROM home", params={"rp": "RETENTION_POLICY"}, epoch="s").get_points()
        )
        equal(rows, [{"time": 1463683075, "room": "kitchen", "temp": 72.0}])
        verified = client(ssl=True, port=int(os.environ["V1_TLS_PORT"]), verify_ssl=os.environ["V1_CA"])
        assert verified.write_points([{"measurement": "tls", "time": NS, "fields": {"v": 1}}])
        equal(list(verified.query("SELECT v FROM tls", epoch="ns").get_points()), [{"time": NS, "v": 1}])

    @check("create_database is refused, and says so")
    def _():
        error = rejected(lambda: basic.create_database("made"), 400 if SERVERLESS else None, "CREATE")
        if SERVERLESS:
            body = json.loads(error.content)
            equal(body["code"], "invalid")
            equal(body["error"], body["message"])
            assert "CREATE" in body["results"][0]["error"], body
        names = [database["name"] for database in basic.get_list_database()]
        assert "made" not in names, f"got {names}"

    @check("drop_measurement is refused, and the points stay")
    def _():
        rejected(lambda: basic.drop_measurement("cpu"), 400 if SERVERLESS else None, "DROP")
        equal(list(basic.query("SELECT count(load) FROM cpu", epoch="ns").get_points()), [{"time": 0, "count": 6}])


frames = DataFrameClient(host=HOST, port=PORT, username=USER, password=TOKEN, database=DB)
INDEX = pd.date_range("2024-02-28 23:00", periods=4, freq="30min", tz="UTC")


@check("DataFrameClient: a frame comes back equal")
def _():
    frame = pd.DataFrame(
        {"temp": [20.5, 21.25, np.nan, 19.0], "count": [1, 2, 3, 4], "ok": [True, False, True, True]}, index=INDEX
    )
    assert frames.write_points(frame, "frame")
    got = frames.query("SELECT * FROM frame")["frame"]
    pd.testing.assert_frame_equal(
        got[["temp", "count", "ok"]], frame, check_freq=False, check_index_type=False, check_names=False
    )


@check("DataFrameClient: tag columns, batches, precision, GROUP BY")
def _():
    frame = pd.DataFrame({"room": ["hall", "attic"] * 2, "temp": [1.0, 2.0, 3.0, 4.0]}, index=INDEX)
    assert frames.write_points(
        frame, "rooms", tags={"house": "one"}, tag_columns=["room"], batch_size=3, time_precision="s"
    )
    got = frames.query("SELECT temp FROM rooms GROUP BY room, house")
    equal(
        sorted(got.keys()),
        [("rooms", (("house", "one"), ("room", "attic"))), ("rooms", (("house", "one"), ("room", "hall")))],
    )
    hall = got[("rooms", (("house", "one"), ("room", "hall")))]
    equal(list(hall["temp"]), [1.0, 3.0])
    equal(list(hall.index), [INDEX[0], INDEX[2]])


@check("DataFrameClient: windows with fill, and two statements")
def _():
    query = (
        "SELECT mean(temp) FROM rooms WHERE time >= '2024-02-28T23:00:00Z' AND time < '2024-02-29T02:00:00Z' "
        "GROUP BY time(1h) fill(0)"
    )
    got = frames.query(query)["rooms"]
    equal(list(got["mean"]), [1.5, 3.5, 0.0])
    equal(list(got.index), list(pd.date_range("2024-02-28 23:00", periods=3, freq="1h", tz="UTC")))
    first, second = frames.query("SELECT temp FROM rooms; SELECT count FROM frame")
    equal(list(first["rooms"]["temp"]), [1.0, 2.0, 3.0, 4.0])
    equal(list(second["frame"]["count"]), [1, 2, 3, 4])


@check("DataFrameClient: nothing found")
def _():
    equal(frames.query("SELECT temp FROM rooms WHERE room = 'cellar'"), {})


sys.exit(1 if failures else 0)
