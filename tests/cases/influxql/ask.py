#!/usr/bin/env python3
"""Asks a real InfluxDB 1.x what it makes of every query of the case files here, and reports where they say something else.

    ask.py http://127.0.0.1:8086 [--write] [FILE.case …]

The server must be one that may be changed: the queries run. With --write the files are corrected; what 1.x accepts keeps its canonical
text, which only the tests know, and a case marked `# ours` is left alone (syntax of later versions, limits of our own).
"""

import json
import pathlib
import sys
import urllib.error
import urllib.parse
import urllib.request

PREFIX = "error parsing query: "


def ask(url, query, params):
    fields = {"q": query, "db": "cases", "chunked": "true", "chunk_size": "1"}
    if params:
        fields["params"] = params
    request = urllib.request.Request(url + "/query", data=urllib.parse.urlencode(fields).encode())
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            line = reply.readline()
    except urllib.error.HTTPError as error:
        line = error.read()
    # What gives no results at all is answered by an empty line.
    document = json.loads(line) if line.strip() else {}
    if "error" in document:
        return "! " + document["error"].removeprefix(PREFIX)
    for result in document.get("results", []):
        # What isn't in this database is no matter of parsing.
        if "error" in result and "not found" not in result["error"] and "no such" not in result["error"]:
            return "~ " + result["error"]
    return "="


def check(url, path, write):
    blocks = path.read_text().split("\n\n")
    wrong = 0
    for number, block in enumerate(blocks):
        lines = [line for line in block.split("\n") if line]
        if not any(line.startswith(">") for line in lines) or "# ours" in lines:
            continue
        query = "\n".join(line[2:] for line in lines if line.startswith(">"))
        params = next((line[2:] for line in lines if line.startswith("$")), None)
        expected = [line for line in lines if line[:1] in "=!~"]
        answer = ask(url, query, params)
        now = expected[0] if expected else ""
        # What the statement does to a database that isn't there is no matter of parsing.
        same = now.startswith("= ") and answer[0] in "=~" if not now.startswith("~") else now == answer
        if same or now == answer:
            continue
        wrong += 1
        print(f"{path.name}: {query}\n  file   {now}\n  server {answer}")
        if write:
            lines = [line for line in lines if line[:1] not in "=!~"]
            lines.append("= ?" if answer[0] in "=" else answer)
            blocks[number] = "\n".join(lines)
    if write and wrong:
        path.write_text("\n\n".join(block.strip("\n") for block in blocks) + "\n")
    return wrong


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--write"]
    url, names = arguments[0], arguments[1:]
    ask(url, "CREATE DATABASE cases", None)
    paths = [pathlib.Path(name) for name in names] or sorted(pathlib.Path(__file__).parent.glob("*.case"))
    sys.exit(1 if sum([check(url, path, "--write" in sys.argv) for path in paths]) else 0)


if __name__ == "__main__":
    main()
