"""Starts a real InfluxDB 1.6.7 (Debian's package `influxdb`) and v1shim over its embedded store, for tools that compare the two."""
import http.client, os, pathlib, resource, shutil, signal, socket, subprocess, sys, tempfile, time


def free_port():
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Servers:
    """Servers with their data in a folder of its own, which goes when they do."""

    def __init__(self, prefix):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
        self.running = {}

    def influxd(self, port, rpc, auth=False, coordinator="", env=None):
        """InfluxDB 1.6.7 on loopback."""
        config = self.folder / "influxdb.conf"
        config.write_text(f"""
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{self.folder}/meta"
[data]
  dir = "{self.folder}/data"
  wal-dir = "{self.folder}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {str(auth).lower()}
  log-enabled = false
[monitor]
  store-enabled = false
[coordinator]
{coordinator}
""")
        log = open(self.folder / "influxd.log", "ab")
        self.running["influxd"] = subprocess.Popen(
            ["influxd", "run", "-config", str(config)], stdout=subprocess.DEVNULL, stderr=log, env=os.environ | (env or {})
        )
        answers(port)

    def shim(self, program, port, more, memory=6 << 30):
        """v1shim in profile "v1" on loopback; `more`: the rest of its configuration. What asks for too much memory fails alone."""
        (self.folder / "proxy.toml").write_text(f"""
[server]
listen = "127.0.0.1:{port}"
[compat]
profile = "v1"
version = "1.6.7~rc0"
{more}
""")
        log = open(self.folder / "shim.log", "ab")
        self.running["shim"] = subprocess.Popen(
            [str(pathlib.Path(program).resolve()), "--config", str(self.folder / "proxy.toml")], stdout=log, stderr=log, cwd=self.folder,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
        )
        answers(port)

    def alive(self, name):
        return self.running[name].poll() is None

    def end(self, name):
        server = self.running.pop(name)
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    def complaints(self):
        """What the shim's log says about panics and errors."""
        log = self.folder / "shim.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        return [line for line in text.splitlines() if "panic" in line or "ERROR" in line]

    def close(self):
        for name in list(self.running):
            self.end(name)
        shutil.rmtree(self.folder, ignore_errors=True)


def answers(port):
    """Waits until somebody answers."""
    for _ in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/ping")
            connection.getresponse().read()
            return
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
        finally:
            connection.close()
    sys.exit(f"nobody answers on port {port}")
