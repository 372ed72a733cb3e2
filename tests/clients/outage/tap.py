"""Stands before a server, hands everything through, and keeps what was written, in the order in which it was taken.

    tap.py PORT SERVER-PORT FILE

A write that the server takes (2xx) is a line of FILE: its bytes, unpacked, as a JSON string. When the server can't be asked, the
connection is closed without an answer. It is killed and started again together with its server.
"""

import gzip
import http.client
import http.server
import json
import sys
import threading

PORT, SERVER_PORT = int(sys.argv[1]), int(sys.argv[2])
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "trailer", "upgrade"}
taken = open(sys.argv[3], "a", encoding="utf-8")
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    upstream = None

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def forward(self):
        body = self.body()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        try:
            if self.upstream is None:
                self.upstream = http.client.HTTPConnection("127.0.0.1", SERVER_PORT, timeout=30)
            self.upstream.request(self.command, self.path, body, headers)
            answer = self.upstream.getresponse()
            content = answer.read()
        except OSError as error:
            print(f"{self.command} {self.path}: {error}", file=sys.stderr)
            self.close_connection = True
            return
        if "/write" in self.path and answer.status < 300:
            lines = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            with lock:
                taken.write(json.dumps(lines.decode("utf-8", "surrogateescape")) + "\n")
                taken.flush()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = forward

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


Server(("127.0.0.1", PORT), Handler).serve_forever()
