#!/usr/bin/env python3
"""Times the fifteen devops queries of the Time Series Benchmark Suite, written in InfluxQL, on v1shim's embedded store and on a real
InfluxDB 1.6.7 (Debian's package `influxdb`), side by side on the same data, and prints a table of ratios.

usage: tsbs.py V1SHIM [--days 3] [--hosts 100] [--runs 21] [--only NAME …]

V1SHIM is the program, built with --release. The data has the suite's published cpu-only shape: 10 tags, 10 fields, one point a host each
10 seconds, values that wander between 0 and 100; our own generator makes it, the same each time. Each query is asked `--runs` times with
different hosts and times after two rounds that don't count, both servers in turn, one connection each, every first answer compared.
Exits with 1 when an answer differs or a median is slower than 1.6.7's. <https://github.com/timescale/tsbs>
"""
import argparse, base64, http.client, json, pathlib, random, shutil, statistics, sys, threading, time
from urllib.parse import urlencode

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "cases"))

from servers import Servers, free_port

FIELDS = [f"usage_{name}" for name in "user system idle nice iowait irq softirq steal guest guest_nice".split()]
START, STEP = 1_451_606_400, 10  # 2016-01-01T00:00:00Z
TOKEN = "benchmark"
BODY = 5000


def tags(host):
    rng = random.Random(host)
    region = rng.choice(["us-east-1", "us-west-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-1", "ap-northeast-1", "sa-east-1"])
    return ",".join(f"{key}={value}" for key, value in [
        ("hostname", f"host_{host}"), ("region", region), ("datacenter", region + rng.choice("abc")), ("rack", rng.randrange(100)),
        ("os", rng.choice(["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"])), ("arch", rng.choice(["x64", "x86"])),
        ("team", rng.choice(["SF", "NYC", "LON", "CHI"])), ("service", rng.randrange(20)), ("service_version", rng.randrange(2)),
        ("service_environment", rng.choice(["production", "staging", "test"]))])


def bodies(hosts, days):
    """Line protocol with seconds, in the order of time."""
    rng = random.Random(1)
    heads = ["cpu," + tags(host) + " " for host in range(hosts)]
    values = [[rng.randrange(101) for _ in FIELDS] for _ in range(hosts)]
    lines = []
    for when in range(START, START + days * 86400, STEP):
        for host in range(hosts):
            row = values[host] = [min(100, max(0, value + rng.randrange(-1, 2))) for value in values[host]]
            lines.append(heads[host] + ",".join(f"{name}={value}" for name, value in zip(FIELDS, row)) + f" {when}")
            if len(lines) == BODY:
                yield "\n".join(lines).encode()
                lines = []
    if lines:
        yield "\n".join(lines).encode()


def queries(hosts, days):
    """Name and a maker of statements, each with random hosts and times."""
    end = START + days * 86400

    def window(rng, hours):
        start = rng.randrange(START, end - hours * 3600 + 1)
        text = lambda when: time.strftime("'%Y-%m-%dT%H:%M:%SZ'", time.gmtime(when))
        return f"time >= {text(start)} AND time < {text(start + hours * 3600)}"

    def some(rng, count):
        return "(" + " OR ".join(f"hostname = 'host_{host}'" for host in rng.sample(range(hosts), count)) + ")"

    def calls(function, fields):
        return ", ".join(f"{function}({name})" for name in fields)

    def single(fields, count, hours):
        return lambda rng: f"SELECT {calls('max', FIELDS[:fields])} FROM cpu WHERE {some(rng, count)} AND {window(rng, hours)} GROUP BY time(1m)"

    def double(fields):
        return lambda rng: f"SELECT {calls('mean', FIELDS[:fields])} FROM cpu WHERE {window(rng, 12)} GROUP BY time(1h), hostname"

    def every(count):
        return lambda rng: f"SELECT {calls('max', FIELDS)} FROM cpu WHERE {some(rng, count)} AND {window(rng, 8)} GROUP BY time(1h)"

    return {
        "single-groupby-1-1-1": single(1, 1, 1), "single-groupby-1-1-12": single(1, 1, 12), "single-groupby-1-8-1": single(1, 8, 1),
        "single-groupby-5-1-1": single(5, 1, 1), "single-groupby-5-1-12": single(5, 1, 12), "single-groupby-5-8-1": single(5, 8, 1),
        "cpu-max-all-1": every(1), "cpu-max-all-8": every(8),
        "double-groupby-1": double(1), "double-groupby-5": double(5), "double-groupby-all": double(10),
        "high-cpu-1": lambda rng: f"SELECT * FROM cpu WHERE usage_user > 90.0 AND {window(rng, 12)} AND {some(rng, 1)}",
        "high-cpu-all": lambda rng: f"SELECT * FROM cpu WHERE usage_user > 90.0 AND {window(rng, 12)}",
        "lastpoint": lambda rng: 'SELECT * FROM cpu GROUP BY "hostname" ORDER BY time DESC LIMIT 1',
        "groupby-orderby-limit": lambda rng: f"SELECT max(usage_user) FROM cpu WHERE time < {rng.randrange(START + 3600, end)}s GROUP BY time(1m) ORDER BY time DESC LIMIT 5",
    }


class Server:
    """One of them, with a connection of its own."""

    def __init__(self, name, port, process):
        self.name, self.port, self.process = name, port, process
        self.headers = {"Authorization": "Basic " + base64.b64encode(f"x:{TOKEN}".encode()).decode()}
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def ask(self, q):
        """Seconds and the answer."""
        started = time.perf_counter()
        self.connection.request("GET", "/query?" + urlencode({"db": "bench", "epoch": "ns", "q": q}), headers=self.headers)
        data = self.connection.getresponse().read()
        return time.perf_counter() - started, data

    def resident(self):
        """MiB, and MiB at the highest."""
        status = dict(line.split(":", 1) for line in open(f"/proc/{self.process.pid}/status"))
        return [int(status[key].split()[0]) >> 10 for key in ("VmRSS", "VmHWM")]


def start(program, servers):
    theirs, rpc, ours = free_port(), free_port(), free_port()
    servers.influxd(theirs, rpc)
    servers.shim(program, ours, f"""
[[auth.token]]
name = "benchmark"
token = "{TOKEN}"
access = "all"
[embedded]
data_dir = "{servers.folder}/shim"
""")
    both = Server("influxd", theirs, servers.running["influxd"]), Server("v1shim", ours, servers.running["shim"])
    both[0].connection.request("POST", "/query?q=CREATE+DATABASE+bench")
    both[0].connection.getresponse().read()
    return both


def write(server, all_bodies):
    """Seconds, with four connections."""
    todo, lock, failed = iter(all_bodies), threading.Lock(), []

    def work():
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
        while not failed:
            with lock:
                body = next(todo, None)
            if body is None:
                return
            connection.request("POST", "/write?db=bench&precision=s", body, server.headers)
            reply = connection.getresponse()
            text = reply.read()
            if reply.status != 204:
                failed.append(f"{server.name}: {reply.status} {text.decode()}")

    started = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        sys.exit(failed[0])
    return time.perf_counter() - started


def same(a, b):
    """Equal, but for the last digits of sums, which depend on the order of adding."""
    if isinstance(a, float) or isinstance(b, float):
        return isinstance(a, (int, float)) and isinstance(b, (int, float)) and abs(a - b) <= 1e-9 * max(abs(a), abs(b))
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict):
        a = {key: value for key, value in a.items() if key != "partial"}  # 1.6.7 says so of complete answers above 10,000 rows
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    return a == b


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    if not shutil.which("influxd"):
        sys.exit("influxd is missing: apt-get install influxdb")
    running, bad = Servers("tsbs-"), False
    try:
        servers = start(arguments.program, running)
        all_bodies = list(bodies(arguments.hosts, arguments.days))
        points = arguments.hosts * arguments.days * 86400 // STEP
        rates = [points / write(server, all_bodies) for server in servers]
        print(f"{points} points; writes: 1.6.7 {rates[0]:,.0f}, v1shim {rates[1]:,.0f} points/s, ratio {rates[1] / rates[0]:.1f}\n")
        del all_bodies
        time.sleep(5)  # what both do in the background after a load
        print("| query | 1.6.7, ms | v1shim, ms | times faster |\n|---|---:|---:|---:|")
        for name, make in queries(arguments.hosts, arguments.days).items():
            if arguments.only and name not in arguments.only:
                continue
            rng, times = random.Random(name), ([], [])
            for run in range(-2, arguments.runs):
                q, answers = make(rng), {}
                for index in (0, 1) if run % 2 else (1, 0):
                    took, answers[index] = servers[index].ask(q)
                    if run >= 0:
                        times[index].append(took * 1000)
                if run == 0 and not same(*(json.loads(answers[index]) for index in (0, 1))):
                    bad = True
                    at = next(i for i, (a, b) in enumerate(zip(answers[0] + b" ", answers[1] + b" ")) if a != b)
                    print(f"DIFFERENT, from byte {at} on: {q}")
                    for server, answer in zip(servers, (answers[0], answers[1])):
                        print(f"  {server.name}: {len(answer)} bytes, … {answer[max(at - 200, 0):at + 200]}")
            theirs, ours = (statistics.median(values) for values in times)
            bad |= ours >= theirs
            print(f"| {name} | {theirs:.2f} | {ours:.2f} | {theirs / ours:.1f} |", flush=True)
        for server in servers:
            print("\n{}: {} MiB resident, {} at the highest".format(server.name, *server.resident()), end="")
        print()
    finally:
        running.close()
    sys.exit(bad)


if __name__ == "__main__":
    main()
