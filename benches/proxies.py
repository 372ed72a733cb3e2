#!/usr/bin/env python3
"""Measures v1shim in front of an upstream that answers at once against nginx and HAProxy (Debian's packages) as plain reverse proxies in
front of the same upstream: requests a second, latencies, and the proxy's own CPU time per request. Prints tables with the ratios to the
better of the two.

usage: proxies.py V1SHIM [--rounds 5] [--seconds 5] [--only NAME …] [--sizes 1K 1M] [--connections 32]

V1SHIM is the program, built with --release. It also needs Debian's packages nginx, haproxy and wrk, and rustc for the upstream (sink.rs).
wrk keeps its connections and writes again and again. nginx and HAProxy send what comes on as it is; v1shim checks a credential, exchanges
it for the upstream's, maps the database to a bucket and makes a native call of the request: in front of v2, of v3, and of v3 with
timestamps in minutes (rescaled: every line is read and written anew). All take turns in each round; the numbers are medians. "nobody" is
wrk and the upstream alone. Exits with 1 when v1shim answers fewer requests than the better of the two, or its p99 is longer than the
shorter one.
"""
import argparse, os, pathlib, shutil, statistics, subprocess, sys, time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "cases"))

from servers import Servers, answers, free_port

TOKEN, UPSTREAM_TOKEN = "agents-token", "upstream-token"
CLOCK = os.sysconf("SC_CLK_TCK")
PLAIN = ["nginx", "haproxy"]
OURS = ["v1shim v3", "v1shim v2", "v1shim v3, minutes"]


def nginx_conf(port, sink, folder):
    """As many workers as cores, connections kept on both sides, no logs. Small bodies fit its buffer, large ones are passed on as they
    come: none is on disk."""
    return f"""
daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  client_max_body_size 25m;
  client_body_buffer_size 256k;
  upstream sink {{ server 127.0.0.1:{sink}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://sink;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering {{buffering}};
    }}
  }}
}}
"""


def haproxy_conf(port, sink, bufsize):
    """As many threads as cores (its default), connections kept on both sides and shared, no logs."""
    return f"""
global
  maxconn 2000
  tune.bufsize {bufsize}
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server sink 127.0.0.1:{sink}
"""


def shim_conf(api, sink):
    """As in front of a real server: clients with tokens of their own, a mapping, the upstream's token."""
    return f"""
[auth]
mode = "local"
[[auth.token]]
name = "agents"
token = "{TOKEN}"
access = "all"
[[dbrp]]
database = "telegraf"
retention_policy = "autogen"
bucket = "telegraf/autogen"
[backend]
kind = "upstream"
[upstream]
api = "{api}"
url = "http://127.0.0.1:{sink}"
org = "{'o' if api == 'v2' else ''}"
token = "{UPSTREAM_TOKEN}"
"""


def body(size, unit):
    """Line protocol as Telegraf's `cpu` input writes it."""
    lines, length, now = [], 0, 1_700_000_000_000_000_000 // unit
    while True:
        n = len(lines)
        line = (f"cpu,cpu=cpu{n % 8},host=web-{n % 100}.example.org usage_guest=0,usage_idle={n % 97}.5,usage_iowait=0.25,usage_system=1.75,"
                f"usage_user=2.5 {now + n}\n")
        if length + len(line) > size:
            return "".join(lines)
        lines.append(line)
        length += len(line)


def script(folder, name, size):
    unit, precision = (60 * 10**9, "m") if "minutes" in name else (1, "ns")
    path = folder / f"{size}-{precision}.lua"
    path.write_text(f"""
wrk.method = "POST"
wrk.path = "/write?db=telegraf&precision={precision}"
wrk.headers["Authorization"] = "Token {TOKEN}"
wrk.headers["User-Agent"] = "Telegraf/1.30.0"
wrk.headers["Content-Type"] = "text/plain; charset=utf-8"
wrk.body = [[
{body(size, unit)}]]
done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, failed, latency:percentile(50), latency:percentile(99)))
end
""")
    return path


def cpu(pid):
    """Seconds that a process and its children have run."""
    total, todo = 0, [pid]
    while todo:
        pid = todo.pop()
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
        todo += open(f"/proc/{pid}/task/{pid}/children").read().split()
    return total / CLOCK


def measure(server, lua, connections, seconds):
    port, process = server
    before = cpu(process.pid)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(lua), f"http://127.0.0.1:{port}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = cpu(process.pid) - before
    result = next(line for line in text.splitlines() if line.startswith("RESULT"))
    requests, duration, failed, p50, p99 = map(int, result.split()[1:])
    if failed:
        sys.exit(f"{failed} requests failed:\n{text}")
    return {"rate": requests / duration * 1e6, "p50": p50 / 1000, "p99": p99 / 1000, "cpu": used / requests * 1e6}


class Proxies(Servers):
    def start(self, name, command, port):
        log = open(self.folder / f"{name}.log", "ab")
        self.running[name] = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
        try:
            answers(port)
        except SystemExit:
            sys.exit(f"{name} doesn't answer:\n{(self.folder / f'{name}.log').read_text()}")
        return port, self.running[name]


def start(program, proxies, size):
    """All of them, with the settings that suit this size best."""
    large, folder = size > 100_000, proxies.folder
    binary, sink = folder / "sink", free_port()
    if not binary.exists():
        subprocess.run(["rustc", "--edition=2021", "-O", str(HERE / "sink.rs"), "-o", str(binary)], check=True)
    servers = {"nobody": proxies.start("sink", [binary, sink], sink)}
    port = free_port()
    (folder / "nginx.conf").write_text(nginx_conf(port, sink, folder).replace("{buffering}", "off" if large else "on"))
    servers["nginx"] = proxies.start("nginx", [shutil.which("nginx") or "/usr/sbin/nginx", "-c", folder / "nginx.conf", "-e", folder / "nginx.err"], port)
    port = free_port()
    (folder / "haproxy.cfg").write_text(haproxy_conf(port, sink, 65536 if large else 16384))
    servers["haproxy"] = proxies.start("haproxy", [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", folder / "haproxy.cfg"], port)
    for api in ["v3", "v2"]:
        port = free_port()
        proxies.shim(program, port, shim_conf(api, sink))
        servers[f"v1shim {api}"] = port, proxies.running.pop("shim")
        proxies.running[f"shim-{api}"] = servers[f"v1shim {api}"][1]
    servers["v1shim v3, minutes"] = servers["v1shim v3"]
    return servers


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--sizes", nargs="*", default=["1K", "1M"])
    parser.add_argument("--only", nargs="*", default=["nobody", *PLAIN, *OURS])
    arguments = parser.parse_args()
    for tool in ["wrk", "nginx", "haproxy", "rustc"]:
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin"):
            sys.exit(f"{tool} is missing")
    bad = False
    for label in arguments.sizes:
        size = int(label[:-1]) << {"K": 10, "M": 20}[label[-1]]
        proxies = Proxies("proxies-")
        try:
            servers = start(arguments.program, proxies, size)
            results = {name: [] for name in servers if name in arguments.only}
            for name in results:
                measure(servers[name], script(proxies.folder, name, size), arguments.connections, 1)
            for _ in range(arguments.rounds):
                for name in results:
                    lua = script(proxies.folder, name, size)
                    results[name].append(measure(servers[name], lua, arguments.connections, arguments.seconds))
        finally:
            proxies.close()
        median = {name: {key: statistics.median(one[key] for one in runs) for key in runs[0]} for name, runs in results.items()}
        plain = [median[name] for name in PLAIN if name in median]
        best = {key: (max if key == "rate" else min)(one[key] for one in plain) for key in plain[0]} if plain else None
        print(f"{label}iB, {arguments.connections} connections\n")
        print("| | requests/s | ratio | p50, ms | p99, ms | ratio | CPU, µs/request | ratio |\n|---|---:|---:|---:|---:|---:|---:|---:|")
        for name, m in median.items():
            ratio = {key: f"{m[key] / best[key]:.2f}" if best and name != "nobody" else "" for key in m}
            own = f"{m['cpu']:.1f}" if name != "nobody" else ""
            print(f"| {name} | {m['rate']:,.0f} | {ratio['rate']} | {m['p50']:.2f} | {m['p99']:.2f} | {ratio['p99']} | {own} | {ratio['cpu']} |")
            if best and name in OURS[:2]:
                bad |= m["rate"] < best["rate"] or m["p99"] > best["p99"]
        print(flush=True)
    sys.exit(bad)


if __name__ == "__main__":
    main()
