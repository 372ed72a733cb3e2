#!/usr/bin/env python3
"""Sends the same requests to a real InfluxDB 1.6.7 (Debian's package `influxdb`) and to v1shim in profile "v1" over the embedded store,
and shows where status, body or headers differ.

usage: compare.py V1SHIM [-v] [PART …]      V1SHIM: the program; -v: what is meant to differ too; parts: write query … (default: all)

What is meant to differ is told by `meant` or a case's `but`. Exits with 1 when anything else differs.
"""
import base64, gzip, http.client, json, pathlib, re, sys
from urllib.parse import quote, urlencode

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from servers import Servers, free_port

THEIRS, RPC, OURS = free_port(), free_port(), free_port()
TOKEN = "s3cret:pass word"
ADMIN = "Basic " + base64.b64encode(f"admin:{TOKEN}".encode()).decode()
HEADERS = [
    "content-type", "content-encoding", "www-authenticate", "allow", "x-influxdb-error", "x-influxdb-version", "x-influxdb-build",
    "access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers",
    "access-control-expose-headers", "access-control-allow-credentials",
]
FORM = "application/x-www-form-urlencoded"


class Case:
    """One request. `but` says why the two may answer differently."""

    def __init__(self, name, method, target, body=None, headers=None, auth=ADMIN, but=None):
        self.name, self.method, self.target, self.body = name, method, target, body
        self.headers, self.auth, self.but = headers or {}, auth, but


def send(port, case):
    """Status, interesting headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(case.method, case.target, skip_accept_encoding=True)
        headers = {"Authorization": case.auth} if case.auth else {}
        headers.update(case.headers)
        body = case.body.encode() if isinstance(case.body, str) else case.body
        if body is not None or case.method in ("POST", "PUT"):
            headers.setdefault("Content-Length", str(len(body or b"")))
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        data = reply.read()
        if reply.getheader("content-encoding") == "gzip":
            data = gzip.decompress(data)
        return reply.status, {name: reply.getheader(name) for name in HEADERS if reply.getheader(name) is not None}, data
    except (OSError, http.client.HTTPException) as error:
        return 0, {}, repr(error).encode()
    finally:
        connection.close()


def plain(answer):
    """v1shim's answer without what its error bodies have more than 1.x's."""
    status, headers, body = answer
    if status >= 400 and body.startswith(b'{\n    "code"'):
        error = json.loads(body)
        body = json.dumps({"error": error["error"]}, ensure_ascii=False, indent=4).encode() + b"\n"
    if status >= 400 and body.startswith(b'{"code"'):
        error = json.loads(body)
        text = json.dumps({"error": error["error"]}, ensure_ascii=False, separators=(",", ":"))
        for char, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
            text = text.replace(char, escape)
        body = text.encode() + b"\n"
    return status, headers, body


AUTO = "a write with an all-access token makes the database or retention policy"

# Differences that are meant, and by what they are known: part of the case's name, and then why.
TOLD = [
    # Line protocol.
    (r"v=1u'|1844674407370955\d+u 1'|write back [mx](26|127)$", "unsigned integers are written, as by 1.8 with its setting for them"),
    (r"s=\"a\"(b|\"b\") 1'|write back [mx]11[12]$", "text behind a string's closing quote is refused; 1.6.7 stores the string with bytes of it"),
    (r"b'.xff'|write gzip (unsaid|GZIP|x-gzip)", "text has to be UTF-8; gzip is recognised as x-gzip and in capitals too"),
    (r"b'(m |m,t=)?(x|y){50,}", "an error repeats 1,024 bytes of a line"),
    (r"write gzip empty", "an empty body needn't be packed"),
    (r"write body crlf", "lines may end with CR LF"),
    (r"write (back )?(precision|huge) (us|µ)( |$)", "us and µ are microseconds; 1.6.7 takes them for nanoseconds"),
    (r"write back (precision|huge) (d|S|x|1s|nanoseconds)$", "an unknown precision would be taken for nanoseconds: not written"),
    # Parameters.
    (r"write target /write/|query (POST )?trailing slash|/ping/$", "slashes at the end of a path don't matter"),
    (r"write target .*(=%zz|;precision)|query (POST )?semicolons", "a malformed parameter is named; 1.6.7 leaves it out and misses it"),
    (r"write target .*%00", "names are printable"),
    (r"write target .*db=\+w", AUTO),
    (r"bad escape|bad form$", "a % that begins no escape stands for itself in q; 1.6.7 leaves q out"),
    (r"invalid utf8", "q has to be UTF-8"),
    (r"query POST (form (without|empty|json) type|json body|text body|influxql|gzip form)", "bodies are understood by any or no type, as application/vnd.influxql, and packed"),
    (r"multipart (cut|wrong)", "what is wrong with a multipart form is said"),
    (r"query (POST )?async$", "async is ignored: the answer comes when it is there"),
    (r"epoch=(us|µ)", "us and µ are microseconds; 1.6.7 takes them for nanoseconds"),
    (r"'Accept': '(text/csv;q=0.5|text/csv, application/json|TEXT/CSV|text/csv ;|text/html, text/csv|,text/csv|application/x-msgpack, app)", "Accept is a list with weights, in any case; 1.6.7 compares it as a whole"),
    (r"params=.*(1e3|18446744073709551615)}", "numbers with an exponent and unsigned ones can be bound"),
    (r"WHERE (host|load) [=>] \$h.*\"regex\"", "a bound regular expression behind = or > is an error; 1.6.7 finds nothing"),
    # Queries.
    (r"OFFSET 4", "OFFSET without LIMIT skips so many points, as documented"),
    (r"^query (POST )?SHOW (DIAGNOSTICS|QUERIES|SHARD GROUPS|SHARDS|STATS)", "what a server says of itself"),
    (r"^query (POST )?SHOW CONTINUOUS QUERIES", "databases are sorted, and those of refused or odd names are made by writes"),
    (r"^query (;+|-- just a comment|/\* c \*/) ", "a query without a statement is refused: an answer always has results"),
    (r"\x00", "NUL is refused; 1.6.7 takes it for the end, and what stands behind it would be somebody else's to read"),
    (r"GROUP BY time\((0s|-1m)\)", "windows of no length are refused; 1.6.7 finds nothing"),
    (r"load::integer FROM cpu", "a float beyond the integers becomes the nearest one; 1.6.7's becomes the smallest"),
    (r"mean\(\*\) FROM cpu", "integers are summed without overflow for a mean"),
    (r"stddev\(load\), mode", "the last digit of a standard deviation"),
    (r"SHOW TAG KEYS WITH KEY", "SHOW TAG KEYS takes WITH KEY, as in 1.8"),
    (r"SHOW SERIES EXACT CARDINALITY", "a series counts once; in 1.6.7 once for every shard"),
    (r"SHOW RETENTION POLICIES .*csv", "integers stand in CSV; 1.6.7 writes the column's name there"),
    (r"SHOW MEASUREMENTS ON nosuch|unknown db show", "a database that isn't there is said to be missing, as 1.6.7 does for other statements"),
    (r"SELECT n FROM cpu   {'Accept-Encoding': 'gzip'}", "short answers aren't packed"),
    # Credentials, paths and CORS.
    (r"auth bearer garbage", "a token that nobody knows is said to be that"),
    (r"other .* (/status|/metrics|/debug/vars|/health|/api/v2/write)", "paths of 1.x's that aren't v1's API, and the other way round"),
    (r"^cors ", "CORS allows what 1.8 allows"),
]


def meant(case, theirs, ours):
    """Why the two are meant to differ, if they are."""
    (a, a_headers, a_body), (b, b_headers, b_body) = theirs, ours
    if case.but:
        return case.but
    if a == b == 405 or case.method in ("OPTIONS", "HEAD") or {a, b} == {404, 401}:
        return "methods and paths: errors are JSON here, unknown paths need a credential, preflight is answered everywhere"
    if a == b == 404 and a_headers.get("content-type", "").startswith("text/plain"):
        return "the text of unknown paths"
    if "verbose=" in case.target and case.target.startswith("/ping") and b == 200:
        return "verbose pings came with 1.7"
    if "csv" in case.headers.get("Accept", "") and (b_body.startswith(b"error\n") or b"\nerror\n" in b_body):
        return "CSV shows errors"
    if b"not implemented" in b_body:
        return "not implemented yet, and said"
    if b"not executed" in b_body and b"not executed" in a_body:
        return "statements that were not run have their own numbers"
    if "SHOW" in case.name and "chunked=true" in case.name:
        return "lists are cut into chunks too"
    if "show+databases" in case.target.lower() and a == b == 200:
        return "databases are sorted, and writes have made some"
    if "msgpack" in case.headers.get("Accept", "") and sorted(a_body) == sorted(b_body):
        return "1.x writes maps in any order"
    if case.name.startswith("write gzip") and b_body.find(b"not valid gzip") >= 0:
        return "the text about broken gzip"
    if "invalid precision" in ours[1].get("x-influxdb-error", ""):
        return "an unknown precision would be taken for nanoseconds"
    if case.name.startswith("write back all") and known(a_body, b_body):
        return "what was written differently reads differently"
    return next((why for pattern, why in TOLD if re.search(pattern, case.name)), None)


def known(a_body, b_body):
    """Whether the only difference between two lists of what was written is what TOLD has, what 1.6.7 keeps of points that it dropped (78,
    82), and what is only in another policy (rp): the measurements below."""
    different = re.compile(r"^(rp|crlfn?|[mx](26|78|82|111|112|127)|p_(us|µ)|ph?n?_(us|µ|d|S|x|1s|nanoseconds))(,|$)|^z(,|$)")

    def rows(body):
        return {
            (json.dumps([series.get("name"), series["columns"]]), json.dumps(row, ensure_ascii=False))
            for result in json.loads(body)["results"]
            for series in result.get("series", [])
            for row in series["values"]
            if not different.match(str(series.get("name"))) and not different.match(str(row[0]))
        }

    return rows(a_body) == rows(b_body)


# Cases.


def url(path, **params):
    return path + "?" + urlencode(params)


def write(name, body, but=None, headers=None, method="POST", **params):
    return Case("write " + name, method, url("/write", **({"db": "w"} | params)), body, headers, but=but)


def query(q, but=None, headers=None, method="GET", **params):
    text = q if len(q) < 200 else q[:200] + "…"
    shown = " ".join(f"{key}={value}" for key, value in params.items()) + (f" {headers}" if headers else "")
    return Case(f"query {text}  {shown}", method, url("/query", **({"db": "r"} | params | {"q": q})), None, headers, but=but)


DATA = (r"""
cpu,host=a,region=eu load=1.5,n=1i,up=true,msg="x" 0
cpu,host=a,region=eu load=2,n=-2i,up=false,msg="" 60000000000
cpu,host=b,region=us load=1e21,n=9223372036854775807i 120000000000
cpu,host=b load=1e-7,n=-9223372036854775808i 180000000000
cpu,host=c,region=eu load=0.1,msg="he said \"hi\" \\ back" 240000000000
cpu load=123456789.125 300000000000
odd,t=a\ b,u=c\,d,v=e\=f s="<>&'` tab	 end",f=100000000000000000000 1
odd,t=é,u=<>&,v="q" s="line
two",f=-0.0 2
odd,t=back\slash s="ctrl",f=1e300 3
uni,t=日本 v="héllo ☃ 𝄞" 1500000000123456789
neg v=1i -1
neg v=2i -1000000000
neg v=3i 1500000000000000001
""".strip() + "\n" + "\n".join(f"many,tag={i % 3} v={i}i {i * 10**9}" for i in range(50))).encode()


def lines():
    """Every kind of line, alone and between good ones."""
    return [
        "m", "m ", "m v", "m v=", "m =1", "m v=1,", "m v=1,,w=2 1", "m,t v=1", "m,t= v=1", "m,=x v=1", "m, v=1", "m,t=a, v=1",
        "m,t=a,t=b v=1 1", "m v=1 x", "m v=1 1.5", "m v=1 1 1", "m v=1 99999999999999999999", "m v=1i 9223372036854775807",
        "m v=1i 9223372036854775806", "m v=1i -9223372036854775808", "m v=1i -9223372036854775807", "m v=1i -9223372036854775806",
        'm s="abc', 'm s="abc 1', 'm s=abc 1', "m v=1ii", "m v=1u", "m v=u", "m v=i", "m v=9223372036854775808i 1",
        "m v=-9223372036854775809i 1", "m v=1.5i", "m v=1e400 1", "m v=NaN", "m v=nan", "m v=Inf", "m v=+Inf", "m v=-inf",
        "m v=0x1F", "m v=1e", "m v=1e5", "m v=+1", "m v=.5", "m v=5.", "m v=.", "m v=-", "m v=--1", "m v=-.", "m v=1_000",
        "m v=t,w=T,x=true,y=True,z=TRUE 1", "m v=f,w=F,x=false,y=False,z=FALSE 1", "m v=tRUE", "m v=trUe", "m v=yes", "m v=tr",
        ",t=a v=1", " m2 v=1 1", "\tm v=1 1", "m\tv=1 1", "m  v=1  1", "m v=1 1 ", "m v=1\t1", "m v= 1", "m v =1", "m ,t=a v=1",
        "m\\ x\\,y\\=z v=1 1", "m=x v=1 1", "m,a\\ b=c\\ d e\\ f=1 1", 'm s="a\\"b\\\\c\\n" 1', "m,t=a\\ v=1 1", "m\\", "\\", "m,t=\\",
        "m v=1 1\\", '"m" v=1 1', '"a b" v=1 1', 'm,"t"="v" v=1 1', 'm,t="a b" v=1 1', "m time=1 1", "m time=1,v=2 1", "m,time=a v=3 1",
        "m v=1,v=2 1", "m v=1,v=2i 1", "# comment", "#", "  # c", "m v=1 1 # c", "=", ",", " ", "\x00", "m\x00 v=1 1", "m v=\"\x00\" 1",
        "\xff", "m,t=\u00e9 v=1 1", "m v=1 -1", "m v=1 -", "m v=1 +1", "m v=1 0", "m v=1 00001", "m v=1 1e3", "m v=1i,w=\"x\",z=true,y=1.5 1",
        "m\\\\ v=1 1", "m,t\\\\=a v=1 1", "m,t=a\\\\ v=1 1", "m _v=1 1", "_m v=1 1", "m,_field=a v=1 1", "m,_measurement=a v=1 1",
        'm s="a,b=c d" 1', 'm s="" 1', 'm s="a"b 1', 'm s="a""b" 1', 'm s=""" 1', 'm s="a" b', 'm s=\'x\' 1', "m,t=a=b v=1 1", "m v=a=b 1",
        "m,t=a,u v=1 1", "m,t=a,u= v=1 1", "m,,t=a v=1 1", "m " + "x" * 70000 + "=1 1", "x" * 70000 + " v=1 1",
        "m,t=" + "y" * 70000 + " v=1 1", 'm s="' + "z" * 70000 + '" 1',
        "m,b=1,a=2 v=1 1", "m,a=2,b=1 v=2 1", "m v=18446744073709551615u 1", "m v=1 1i", "insert m v=1", "{\"a\":1}", "<xml/>",
    ]


def part_write():
    cases = []
    for number, line in enumerate(lines()):
        line = line.encode("latin-1") if line == "\xff" else line.encode()
        for kind, body in (
            ("alone", line.replace(b"m", b"m%d" % number, 1)),
            ("mixed", b"good v=1 %d\n" % number + line.replace(b"m", b"x%d" % number, 1) + b"\ngood v=2 %d" % (10**6 + number)),
        ):
            but = None
            cases.append(write(f"{kind} {line[:60]!r}", body, db="lines", but=but))
    cases += [
        Case("write back all", "GET", url("/query", db="lines", epoch="ns", q="SHOW MEASUREMENTS")),
        Case("write back all", "GET", url("/query", db="lines", epoch="ns", q="SHOW SERIES")),
        Case("write back all", "GET", url("/query", db="lines", epoch="ns", q="SHOW TAG KEYS")),
        Case("write back all", "GET", url("/query", db="lines", epoch="ns", q="SHOW FIELD KEYS")),
    ]
    for number in range(len(lines())):
        for prefix in "mx":
            q = f"SELECT * FROM /^{prefix}{number}([^0-9]|$)/ WHERE time < '2025-01-01T00:00:00Z'"
            cases.append(Case(f"write back {prefix}{number}", "GET", url("/query", db="lines", epoch="ns", q=q)))
    cases.append(Case("write back good", "GET", url("/query", db="lines", epoch="ns", q="SELECT * FROM good")))
    for precision in ["n", "ns", "u", "us", "µ", "ms", "s", "m", "h", "", "d", "S", "x", "1s", "nanoseconds"]:
        cases.append(write(f"precision {precision}", f"p_{precision or 'none'} v=1 1000", precision=precision))
        cases.append(write(f"precision {precision} none", f"pn_{precision or 'none'} v=1", precision=precision))
        cases.append(write(f"precision {precision} negative", f"p_{precision or 'none'} v=1 -1000", precision=precision))
        cases.append(write(f"precision {precision} huge", f"ph_{precision or 'none'} v=1 9000000000000000000", precision=precision))
        cases.append(write(f"precision {precision} bad", f"p_{precision or 'none'} v= 1\np_good v=3 3", precision=precision))
        cases.append(Case(f"write back precision {precision}", "GET", url("/query", db="w", epoch="ns", q=f'SELECT * FROM "p_{precision or "none"}"')))
        cases.append(Case(f"write back huge {precision}", "GET", url("/query", db="w", epoch="ns", q=f'SELECT * FROM "ph_{precision or "none"}"')))
    for value in ["one", "any", "all", "quorum", "", "ONE", "Any", "two", "x"]:
        cases.append(write(f"consistency {value}", "c v=1 1", consistency=value))
    raw = b"z,enc=gzip v=1 1\n"
    packed = gzip.compress(raw)
    for name, body, encoding in [
        ("good", packed, "gzip"), ("truncated", packed[:-6], "gzip"), ("no trailer", packed[:-8], "gzip"), ("header only", packed[:8], "gzip"), ("garbage", b"not gzip", "gzip"),
        ("empty", b"", "gzip"), ("twice", packed + packed, "gzip"), ("trailing garbage", packed + b"xxxx", "gzip"), ("bad crc", packed[:-8] + b"\0\0\0\0" + packed[-4:], "gzip"),
        ("GZIP", packed, "GZIP"), ("identity", raw, "identity"), ("unsaid", packed, None), ("x-gzip", packed, "x-gzip"), ("deflate", packed, "deflate"),
        ("plain said gzip", raw, "gzip"), ("empty packed", gzip.compress(b""), "gzip"), ("comments packed", gzip.compress(b"# x\n"), "gzip"),
        ("blank packed", gzip.compress(b"\n\n"), "gzip"),
    ]:
        but = "other encodings than gzip and identity are refused" if encoding in ("deflate",) else None
        cases.append(write("gzip " + name, body, headers={"Content-Encoding": encoding} if encoding else {}, but=but))
        cases.append(write("gzip " + name + " precision=m", body, precision="m", headers={"Content-Encoding": encoding} if encoding else {}, but=but))
    for name, body in [
        ("empty", ""), ("newline", "\n"), ("newlines", "\n\n\n"), ("comment", "# x"), ("comment nl", "# x\n"), ("comments", "# x\n#y\n\n"), ("space", " "), ("spaces", "  \n \t\n"), ("crlf", "crlf v=1 1\r\ncrlf v=2 2\r\n"),
        ("cr", "cr v=1 1\rcr v=2 2"), ("crlf blank", "\r\n\r\n"), ("crlf nostamp", 'crlfn s="a"\r\n'), ("nul", "\0"), ("bom", "\ufeffbom v=1 1"), ("newline in string", 'nl s="a\nb" 1\nnl s="c" 2'),
        ("crlf in string", 'nl s="a\r\nb" 5'), ("escaped newline", "nl\\\nx v=1 1"), ("open string then more", 'nl s="a 1\nnl s="c" 2\n'), ("no final newline", "nf v=1 1"),
        ("duplicate points", "dup v=1 1\ndup v=2 1\ndup w=3 1\ndup v=4 1"), ("duplicate again", "dup v=9 1"), ("duplicate tags", "dup,a=1,a=2 v=1 1"),
        ("two bad", "b1\nb2 v=\nok v=1 1\nb3 v=x 2"), ("all bad", "b1\nb2 v=\nb3 v=x 2"), ("many bad", "\n".join(f"bad{i}" for i in range(30))),
        ("bad between comments", "# a\n\nbad\n# b\nok v=2 2\n"), ("spaces before", "   sp v=1 1\n\t\tsp v=2 2"),
        ("conflict make", "con f=1,i=1i,s=\"x\",b=true 1"), ("conflict f", "con f=1i 2"), ("conflict i", "con i=1 2"), ("conflict s", "con s=1 2"), ("conflict b", "con b=\"t\" 2"),
        ("conflict two", "con f=1i 3\ncon i=1 3\ncon s=\"ok\" 3"), ("conflict one field of two", "con f=1i,n=5 4"), ("conflict and malformed", "con f=1i 5\nbad\ncon n=6 5"), ("conflict within", "cw v=1 1\ncw v=1i 2\ncw v=\"x\" 3\ncw v=2 4"),
        ("conflict twice in a line", "con f=1i,i=2 6"), ("conflict tag field", "con,f=a n=1 7"), ("conflict others", "con f=true 8\ncon f=2 9"),
        ("big", "\n".join(f"bulk,host=h{i % 7} v={i}i {i}" for i in range(20000))), ("big one line", "wide " + ",".join(f"f{i}={i}" for i in range(3000)) + " 1"),
        ("many tags", "wt," + ",".join(f"t{i}=v" for i in range(300)) + " v=1 1"),
    ]:
        cases.append(write("body " + name, body))
        cases.append(write("body " + name + " precision=s", body.replace("dup", "dups").replace("con", "cons"), precision="s"))
    cases.append(Case("write back all", "GET", url("/query", db="w", epoch="ns", q="SELECT * FROM /^(c|z|crlf|cr|nl|nf|dup|dups|con|cons|cw|ok|sp|wt|bom.*|.bom|p_good|.*x)$/")))
    cases.append(Case("write back all", "GET", url("/query", db="w", epoch="ns", q="SELECT count(v), sum(v), max(v) FROM bulk GROUP BY host")))
    cases.append(Case("write back all", "GET", url("/query", db="w", epoch="ns", q="SHOW FIELD KEYS; SHOW SERIES; SHOW MEASUREMENTS")))
    for db in [None, "", "unknown", "a b", "日本", "x" * 65, "with/slash", "..", '"']:
        target = "/write" if db is None else url("/write", db=db)
        cases.append(Case(f"write db {db!r}", "POST", target, "m v=1 1", but=AUTO if db else None))
    cases.append(Case("write db empty body", "POST", "/write?db=empty", "", but=AUTO))
    for rp in ["autogen", "", "month", "unknown", "default", "AUTOGEN"]:
        cases.append(write(f"rp {rp}", "rp v=1 1", rp=rp, but=AUTO if rp in ("unknown", "default", "AUTOGEN") else None))
    cases.append(Case("write back rp", "GET", url("/query", db="w", q="SELECT * FROM month.rp; SELECT * FROM autogen.rp")))
    for method in ["GET", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "FOO"]:
        cases.append(write("method " + method, "m v=1 1" if method in ("PUT", "PATCH") else None, method=method))
        cases.append(Case("query method " + method, method, url("/query", db="r", q="SHOW DATABASES"), None))
    for target in ["/write/?db=w", "/write//?db=w", "//write?db=w", "/Write?db=w", "/write?db=w&db=r", "/write?DB=w", "/write?db=%zz", "/write?db=w&precision=s&precision=ms", "/write?db=w;precision=s", "/write?db=w%00", "/write?db=w&x=y", "/write?&&db=w", "/write?db=+w", "/write?db=%77", "/%77rite?db=w"]:
        cases.append(Case("write target " + target, "POST", target, "tg v=1 1"))
    for kind in ["application/json", FORM, "text/plain", "", "garbage", "multipart/form-data"]:
        cases.append(write("content type " + kind, "ct v=1 1", headers={"Content-Type": kind}))
    cases.append(Case("write db in form", "POST", "/write", "db=w", {"Content-Type": FORM}))
    return cases


SELECTS = [
    "SELECT * FROM cpu", "SELECT * FROM odd", "SELECT * FROM uni", "SELECT * FROM neg", "SELECT v FROM many", "SELECT load FROM cpu", "SELECT n FROM cpu", "SELECT up FROM cpu", "SELECT msg FROM cpu",
    "SELECT load, host FROM cpu", "SELECT host FROM cpu", "SELECT nosuch FROM cpu", "SELECT load, nosuch FROM cpu", "SELECT * FROM nosuch", "SELECT *::field FROM cpu", "SELECT *::tag FROM cpu", "SELECT load::float, n::integer FROM cpu", "SELECT n::float FROM cpu", "SELECT load::integer FROM cpu", "SELECT load::string FROM cpu", "SELECT host::tag, load FROM cpu", "SELECT /o/ FROM cpu",
    "SELECT * FROM cpu GROUP BY host", "SELECT * FROM cpu GROUP BY *", "SELECT load FROM cpu GROUP BY host, region", "SELECT load FROM cpu GROUP BY nosuch", "SELECT load FROM cpu GROUP BY /re/", "SELECT s FROM odd GROUP BY *", "SELECT f FROM odd GROUP BY t", "SELECT v FROM uni GROUP BY t", "SELECT load AS l, n AS \"a b\" FROM cpu", "SELECT load, load FROM cpu", "SELECT load AS x, n AS x FROM cpu",
    "SELECT * FROM cpu ORDER BY time DESC", "SELECT * FROM cpu LIMIT 2", "SELECT * FROM cpu LIMIT 2 OFFSET 1", "SELECT * FROM cpu OFFSET 4", "SELECT * FROM cpu GROUP BY host LIMIT 1", "SELECT * FROM cpu GROUP BY host SLIMIT 1", "SELECT * FROM cpu GROUP BY host SLIMIT 1 SOFFSET 1", "SELECT * FROM cpu LIMIT 0", "SELECT * FROM cpu OFFSET 100", "SELECT * FROM cpu ORDER BY time", "SELECT * FROM cpu ORDER BY host", "SELECT * FROM cpu ORDER BY time, host",
    "SELECT mean(load) FROM cpu", "SELECT count(*) FROM cpu", "SELECT count(load), sum(n) FROM cpu", "SELECT sum(n) FROM cpu", "SELECT mean(n) FROM cpu WHERE host = 'a'", "SELECT max(load), host FROM cpu", "SELECT first(msg) FROM cpu", "SELECT last(up) FROM cpu", "SELECT last(*) FROM cpu", "SELECT mean(*) FROM cpu", "SELECT distinct(host) FROM cpu", "SELECT distinct(msg) FROM cpu", "SELECT count(distinct(msg)) FROM cpu", "SELECT percentile(load, 50) FROM cpu", "SELECT median(load), spread(load), stddev(load), mode(load) FROM cpu", "SELECT mean(msg) FROM cpu", "SELECT sum(up) FROM cpu", "SELECT mean(nosuch) FROM cpu", "SELECT mean(load) FROM nosuch", "SELECT mean(load) AS m FROM cpu GROUP BY host",
    "SELECT mean(load) FROM cpu WHERE time >= 0 AND time < 6m GROUP BY time(1m)", "SELECT count(load) FROM cpu WHERE time >= 0 AND time < 6m GROUP BY time(2m), host", "SELECT count(load) FROM cpu WHERE time >= 0 AND time < 10m GROUP BY time(1m) fill(none)", "SELECT mean(load) FROM cpu WHERE time >= 0 AND time < 10m GROUP BY time(1m) fill(0)", "SELECT mean(load) FROM cpu WHERE time >= 0 AND time < 10m GROUP BY time(1m) fill(previous)", "SELECT mean(load) FROM cpu WHERE time >= 0 AND time < 10m GROUP BY time(1m) fill(linear)", "SELECT mean(load) FROM cpu WHERE time >= 0 AND time < 10m GROUP BY time(1m) fill(1.5)", "SELECT max(n) FROM cpu WHERE time >= 0 AND time < 6m GROUP BY time(4m, 1m)", "SELECT mean(load) FROM cpu WHERE time >= 0 AND time < 10m GROUP BY time(1m) ORDER BY time DESC LIMIT 3", "SELECT mean(load) FROM cpu GROUP BY time(1m) LIMIT 3", "SELECT mean(load) FROM cpu WHERE host = 'zz' AND time >= 0 AND time < 2m GROUP BY time(1m) fill(0)",
    "SELECT load FROM cpu WHERE host = 'a'", "SELECT load FROM cpu WHERE host != 'a'", "SELECT load FROM cpu WHERE host =~ /a|b/", "SELECT load FROM cpu WHERE host !~ /a/", "SELECT load FROM cpu WHERE host = ''", "SELECT load FROM cpu WHERE region != ''", "SELECT load FROM cpu WHERE load > 1", "SELECT load FROM cpu WHERE n < 0 OR up = true", "SELECT load FROM cpu WHERE msg = 'x'", "SELECT load FROM cpu WHERE msg =~ /hi/", "SELECT load FROM cpu WHERE host = 'a' AND time > 30s", "SELECT load FROM cpu WHERE time = 60000000000", "SELECT load FROM cpu WHERE time >= '1970-01-01T00:01:00Z'", "SELECT load FROM cpu WHERE time >= '1970-01-01'", "SELECT load FROM cpu WHERE time > now()", "SELECT load FROM cpu WHERE \"host\" = \"a\"", "SELECT load FROM cpu WHERE host = a", "SELECT load FROM cpu WHERE load = 'x'", "SELECT load FROM cpu WHERE nosuch = 1", "SELECT load FROM cpu WHERE load + 1 > 2", "SELECT load FROM cpu WHERE time > 0 OR host = 'a'",
    "SELECT load * 2 FROM cpu", "SELECT load + n FROM cpu", "SELECT n / 2 FROM cpu", "SELECT n / 0 FROM cpu", "SELECT load % 2 FROM cpu", "SELECT n & 1 FROM cpu", "SELECT -n FROM cpu", "SELECT load + 'x' FROM cpu", "SELECT up + 1 FROM cpu", "SELECT max(load) / min(load) FROM cpu", "SELECT (load + 1) * 2 AS z FROM cpu", "SELECT 1 FROM cpu", "SELECT load + 1, n FROM cpu",
    "SELECT * FROM cpu, neg", "SELECT * FROM /cpu|neg/", "SELECT * FROM r..cpu", "SELECT * FROM r.autogen.neg", "SELECT * FROM autogen.neg", "SELECT * FROM r.month.cpu", "SELECT * FROM nosuch..cpu", "SELECT * FROM month.rp", "SELECT * FROM nosuch.cpu", "SELECT * FROM \"r\".\"autogen\"./neg|uni/", "SELECT mean(v) FROM many, neg",
    "SELECT mean(m) FROM (SELECT max(v) AS m FROM many GROUP BY tag)", "SELECT * FROM (SELECT v FROM many) LIMIT 2", "SELECT v FROM (SELECT v FROM many WHERE v < 3)", "SELECT sum(v) FROM (SELECT v FROM many) GROUP BY tag",
    "SELECT derivative(v) FROM neg", "SELECT difference(v) FROM many LIMIT 3", "SELECT cumulative_sum(v) FROM many LIMIT 3", "SELECT moving_average(v, 2) FROM many LIMIT 3", "SELECT elapsed(v) FROM many LIMIT 3", "SELECT top(v, 2) FROM many", "SELECT bottom(v, 2), tag FROM many", "SELECT sample(v, 100) FROM neg", "SELECT integral(v) FROM many", "SELECT abs(v) FROM neg", "SELECT sqrt(v) FROM many LIMIT 3", "SELECT round(load) FROM cpu", "SELECT histogram(v) FROM many", "SELECT holt_winters(mean(v), 1, 1) FROM many WHERE time < 1m GROUP BY time(10s)", "SELECT nosuch(v) FROM many",
    "SELECT v FROM many tz('Europe/Berlin')", "SELECT max(v) FROM many WHERE time < 1m GROUP BY time(30s) tz('America/New_York')", "SELECT v FROM many tz('No/Where')", "SELECT v FROM uni tz('Asia/Tokyo')",
]
SEMANTIC = [
    "SELECT mean(v) FROM m GROUP BY time(5m), time(1m)", "SELECT mean(v) FROM m GROUP BY time()", "SELECT mean(v) FROM m GROUP BY time", "SELECT mean(v) FROM m GROUP BY foo(1m)", "SELECT mean(v) FROM m GROUP BY 1", "SELECT mean(v) FROM m GROUP BY 'x'", "SELECT mean(v) FROM m GROUP BY time(1)", "SELECT mean(v) FROM m GROUP BY time(1m, 'x')", "SELECT mean(v) FROM m GROUP BY time(1m, now())", "SELECT mean(v) FROM m GROUP BY time(0s)", "SELECT mean(v) FROM m GROUP BY time(-1m)", "SELECT mean(v) FROM m GROUP BY time(1m, 2m, 3m)",
    "SELECT v FROM many GROUP BY time(1m)", "SELECT mean(v) FROM many GROUP BY time(1m) fill(foo)", "SELECT v FROM many fill(1)", "SELECT mean(v) FROM many GROUP BY time(1m) fill()", "SELECT mean(v) FROM many GROUP BY time(1m) fill('x')", "SELECT mean(v) FROM many fill(previous)", "SELECT mean(v) FROM many GROUP BY time(1m) fill(linear, 1)", "SELECT v FROM many fill(linear)",
    "SELECT mean(v), v FROM many", "SELECT mean() FROM many", "SELECT mean(v, 1) FROM many", "SELECT mean(1) FROM many", "SELECT mean(mean(v)) FROM many", "SELECT percentile(v) FROM many", "SELECT percentile(v, 'x') FROM many", "SELECT percentile(v, 200) FROM many", "SELECT top(v) FROM many", "SELECT top(v, 0) FROM many", "SELECT top(v, -1) FROM many", "SELECT top(v, 2), max(v) FROM many", "SELECT derivative(mean(v)) FROM many", "SELECT derivative(v, 0s) FROM many", "SELECT distinct(v), mean(v) FROM many", "SELECT distinct v, tag FROM many", "SELECT count(distinct) FROM many", "SELECT foo(v) FROM many", "SELECT moving_average(v, 1) FROM many", "SELECT sample(v, 0) FROM many", "SELECT mean(*), v FROM many", "SELECT time FROM many", "SELECT time, v FROM many", "SELECT mean(time) FROM many", "SELECT v FROM many WHERE time", "SELECT v FROM many WHERE 1", "SELECT v FROM many WHERE v", "SELECT v FROM many WHERE mean(v) > 1", "SELECT v FROM many WHERE time > 'garbage'", "SELECT v FROM many WHERE time > 1.5", "SELECT v FROM many WHERE time > true", "SELECT v FROM many WHERE time =~ /x/", "SELECT v FROM many WHERE time != 1", "SELECT v FROM many WHERE time > now() + 'x'", "SELECT v FROM many WHERE time > foo()", "SELECT v FROM many WHERE v =~ 'x'", "SELECT v FROM many WHERE v > /x/", "SELECT v FROM many WHERE time > v",
    "SELECT v FROM \"\"", "SELECT v FROM many LIMIT 1 SLIMIT 1", "SELECT (v FROM many", "SELECT v FROM (SELECT mean(v), v FROM many)", "SELECT v FROM many; SELECT mean(v) FROM m GROUP BY time(5m), time(1m); SELECT v FROM neg", "SELECT v FROM neg; SELECT mean(v), v FROM many; SELECT v FROM neg", "EXPLAIN SELECT mean(v) FROM m GROUP BY time(5m), time(1m)", "SELECT mean(v) FROM m GROUP BY time; SELECT mean(v FROM m",
]
SHOWS = [
    'SHOW TAG KEYS FROM ""',
    "SHOW DATABASES", "show databases", "SHOW RETENTION POLICIES", "SHOW RETENTION POLICIES ON r", "SHOW RETENTION POLICIES ON nosuch", "SHOW MEASUREMENTS", "SHOW MEASUREMENTS ON r", "SHOW MEASUREMENTS ON nosuch", "SHOW MEASUREMENTS LIMIT 2", "SHOW MEASUREMENTS LIMIT 2 OFFSET 1", "SHOW MEASUREMENTS OFFSET 3", "SHOW MEASUREMENTS OFFSET 100", "SHOW MEASUREMENTS WITH MEASUREMENT = cpu", "SHOW MEASUREMENTS WITH MEASUREMENT =~ /c|n/", "SHOW MEASUREMENTS WITH MEASUREMENT = nosuch", "SHOW MEASUREMENTS WITH MEASUREMENT =~ /(?i)CPU/", "SHOW MEASUREMENTS WHERE host = 'a'", "SHOW MEASUREMENTS WHERE nosuch = 'a'", "SHOW MEASUREMENTS WHERE host =~ /./", "SHOW MEASUREMENTS WHERE time > 0", "SHOW MEASUREMENTS WHERE load > 0", "SHOW MEASUREMENTS ORDER BY name",
    "SHOW TAG KEYS", "SHOW TAG KEYS FROM cpu", "SHOW TAG KEYS FROM /c|o/", "SHOW TAG KEYS FROM nosuch", "SHOW TAG KEYS FROM cpu, odd", "SHOW TAG KEYS ON r FROM cpu", "SHOW TAG KEYS FROM autogen.cpu", "SHOW TAG KEYS FROM r.autogen.cpu", "SHOW TAG KEYS WHERE host = 'a'", "SHOW TAG KEYS FROM cpu LIMIT 1", "SHOW TAG KEYS LIMIT 1 OFFSET 1", "SHOW TAG KEYS SLIMIT 1", "SHOW TAG KEYS SLIMIT 1 SOFFSET 1", "SHOW TAG KEYS FROM cpu WHERE time > 0", "SHOW TAG KEYS ON nosuch", "SHOW TAG KEYS FROM neg", "SHOW TAG KEYS WITH KEY = host", "SHOW TAG KEYS WITH KEY =~ /h/", "SHOW TAG KEYS WITH KEY IN (host, t)",
    "SHOW TAG VALUES WITH KEY = host", "SHOW TAG VALUES WITH KEY != host", "SHOW TAG VALUES WITH KEY =~ /h|t/", "SHOW TAG VALUES WITH KEY !~ /h/", "SHOW TAG VALUES WITH KEY IN (host, region)", "SHOW TAG VALUES FROM cpu WITH KEY = host", "SHOW TAG VALUES FROM cpu WITH KEY = host WHERE region = 'eu'", "SHOW TAG VALUES FROM cpu WITH KEY = host WHERE host =~ /a/", "SHOW TAG VALUES FROM cpu WITH KEY = host LIMIT 1", "SHOW TAG VALUES FROM cpu WITH KEY = host LIMIT 1 OFFSET 1", "SHOW TAG VALUES WITH KEY = nosuch", "SHOW TAG VALUES FROM nosuch WITH KEY = host", "SHOW TAG VALUES FROM cpu", "SHOW TAG VALUES WITH KEY = t", "SHOW TAG VALUES WITH KEY IN (t, u, v)", "SHOW TAG VALUES FROM cpu WITH KEY = host WHERE time > 0", "SHOW TAG VALUES FROM cpu WITH KEY = host WHERE load > 1", "SHOW TAG VALUES FROM cpu WITH KEY = host ORDER BY value DESC", "SHOW TAG VALUES WITH KEY = host SLIMIT 1",
    "SHOW FIELD KEYS", "SHOW FIELD KEYS FROM cpu", "SHOW FIELD KEYS FROM /c|n/", "SHOW FIELD KEYS FROM nosuch", "SHOW FIELD KEYS LIMIT 1", "SHOW FIELD KEYS FROM cpu LIMIT 2 OFFSET 1", "SHOW FIELD KEYS ON r", "SHOW FIELD KEYS SLIMIT 1", "SHOW FIELD KEYS FROM cpu WHERE host = 'a'", "SHOW FIELD KEYS FROM cpu ORDER BY fieldKey DESC",
    "SHOW SERIES", "SHOW SERIES FROM cpu", "SHOW SERIES FROM cpu WHERE host = 'a'", "SHOW SERIES FROM odd", "SHOW SERIES LIMIT 2", "SHOW SERIES LIMIT 2 OFFSET 2", "SHOW SERIES FROM nosuch", "SHOW SERIES WHERE t =~ /a/", "SHOW SERIES FROM cpu WHERE time > 0", "SHOW SERIES FROM cpu WHERE load > 1", "SHOW SERIES ON r FROM uni", "SHOW SERIES OFFSET 5",
    "SHOW SERIES CARDINALITY", "SHOW SERIES EXACT CARDINALITY", "SHOW MEASUREMENT CARDINALITY", "SHOW MEASUREMENT EXACT CARDINALITY", "SHOW TAG KEY CARDINALITY", "SHOW TAG KEY EXACT CARDINALITY", "SHOW TAG VALUES CARDINALITY WITH KEY = host", "SHOW FIELD KEY CARDINALITY", "SHOW USERS", "SHOW GRANTS FOR admin", "SHOW CONTINUOUS QUERIES", "SHOW SUBSCRIPTIONS", "SHOW QUERIES", "SHOW SHARDS", "SHOW SHARD GROUPS", "SHOW STATS", "SHOW DIAGNOSTICS",
]
PARSE = [
    ";", ";;", " ", "\n", "SELECT", "SELECT * FROM", "SELECT * FORM cpu", "SELEC * FROM cpu", "SHOW", "SHOW FOO", "SELECT * FROM cpu WHERE", "SELECT * FROM cpu WHERE host = 'a", "SELECT * FROM \"cpu", "SELECT * FROM cpu LIMIT x", "SELECT * FROM cpu LIMIT -1", "SELECT * FROM cpu LIMIT 99999999999999999999", "SELECT * FROM cpu WHERE host =~ /(/", "SELECT * FROM cpu WHERE host =~ 'a'", "SELECT * FROM /(/", "SELECT \"<>&\" FRM x", "SELECT 'é' x", "DROP", "DROP FOO", "CREATE", "SELECT * FROM cpu;SELECT", "SELECT * FROM cpu SELECT * FROM cpu", "-- just a comment", "/* c */", "SELECT * FROM cpu -- c", "/* a */ SELECT /* b */ n FROM cpu", "SELECT * FROM cpu; ; SELECT * FROM neg;", "\ufeffSELECT 1", "SELECT \x00", "SELECT * FROM cpu\x00", "SELECT 9999999999999999999999 FROM cpu", "SELECT * FROM cpu WHERE time > 10x", "SELECT $x FROM cpu", "SELECT * FROM cpu WHERE host = $h", "SELECT ! FROM cpu", "SELECT * FROM cpu WHERE n = 1 2", "INSERT cpu v=1", "USE r", "SELECT * FROM cpu\r\nWHERE\r\nhost", "SELECT *\nFROM\n\ncpu WHERE (", "(" * 40, "SELECT v FROM cpu GROUP BY", "SELECT v FROM cpu WHERE time > '2000-13-45'",
]
REFUSED = "refused by policy; 1.x would have run it"


def part_query():
    cases = [query(q) for q in SELECTS + SEMANTIC + SHOWS + PARSE]
    cases += [query(q, epoch="ns") for q in SELECTS]
    cases += [query(q, headers={"Accept": "application/csv"}) for q in SELECTS + SEMANTIC + SHOWS + PARSE]
    cases += [query(q, headers={"Accept": "application/csv"}, epoch="s") for q in SELECTS]
    cases += [query(q, headers={"Accept": "application/x-msgpack"}) for q in SELECTS + SEMANTIC + SHOWS + PARSE]
    cases += [query(q, headers={"Accept": "application/x-msgpack"}, epoch="ms") for q in SELECTS]
    cases += [query(q, pretty="true") for q in SELECTS + SEMANTIC + SHOWS + PARSE]
    cases += [query(q, chunked="true", chunk_size="2") for q in SELECTS + SEMANTIC + SHOWS + PARSE]
    cases += [query(q, method="POST") for q in SELECTS[:10] + SEMANTIC[:10] + SHOWS[:10] + PARSE]
    for epoch in ["n", "ns", "u", "us", "µ", "ms", "s", "m", "h", "", "d", "w", "x", "NS", "1", "rfc3339"]:
        for accept in ["application/json", "text/csv", "application/x-msgpack"]:
            cases.append(query("SELECT * FROM uni; SELECT * FROM neg; SELECT max(v) FROM neg WHERE time < 2s GROUP BY time(1s)", epoch=epoch, headers={"Accept": accept}))
    for value in ["true", "1", "t", "TRUE", "false", "", "yes", "True"]:
        cases.append(query("SELECT * FROM cpu LIMIT 1", pretty=value))
        cases.append(query("SELECT * FROM nosuch..cpu", pretty=value))
        cases.append(query("SELECT", pretty=value))
        cases.append(query("SELECT * FROM many", chunked=value, chunk_size=20))
    for size in ["1", "2", "7", "50", "100", "x", "0", "-1", "", "1.5", "99999999999999999999", " 1", "+3"]:
        for q in ["SELECT * FROM many", "SELECT * FROM many GROUP BY tag", "SELECT v FROM many; SELECT v FROM neg", "SHOW MEASUREMENTS", "SHOW TAG VALUES WITH KEY IN (host, t)", "SELECT max(v) FROM many WHERE time < 1m GROUP BY time(10s), tag"]:
            cases.append(query(q, chunked="true", chunk_size=size))
        cases.append(query("SELECT * FROM many", chunk_size=size))
        cases.append(query("SELECT * FROM many GROUP BY tag", chunked="true", chunk_size=size, headers={"Accept": "text/csv"}))
        cases.append(query("SELECT * FROM many GROUP BY tag", chunked="true", chunk_size=size, headers={"Accept": "application/x-msgpack"}))
        cases.append(query("SELECT * FROM many GROUP BY tag", chunked="true", chunk_size=size, pretty="true"))
    cases.append(query("SELECT * FROM many", chunked="true"))
    for accept in [
        "", "*/*", "application/*", "text/*", "text/csv", "application/csv", "text/csv;q=0.5", "text/csv, application/json", "application/json, text/csv", "text/html,application/xhtml+xml,*/*;q=0.8", "application/x-msgpack, application/json",
        "application/json, application/x-msgpack", "TEXT/CSV", "garbage", "application/json;charset=utf-8", "text/html", "text/csv ;header=present", "application/msgpack", "text/html, text/csv", " text/csv", "*/*, text/csv", "text/plain, text/csv;q=0", ",text/csv",
    ]:
        cases.append(query("SELECT n FROM cpu GROUP BY host", headers={"Accept": accept}))
        cases.append(query("SELECT", headers={"Accept": accept}))
    for params in [
        '{"h":"a"}', '{"h":1}', '{"h":1.5}', '{"h":true}', '{"h":null}', '{"h":[1]}', '{"h":{}}', '{"h":{"regex":"a|b"}}', '{"h":{"identifier":"host"}}', '{"h":{"string":"a"}}', '{"h":{"duration":"1m"}}', '{"h":{"integer":"1"}}', '{"h":{"foo":"a"}}', '{"h":{"string":1}}', '{"h":{"regex":"("}}',
        "{}", "null", "", "[]", "x", '{"h":"a"', '"h"', "1", '{"x":"a"}', '{"h":"a"} trailing', '{"h":"a\'b"}', '{"h":9007199254740993}', '{"h":1e3}', '{"h":18446744073709551615}', '{"h":-1}', '{"H":"a"}', '{"$h":"a"}', '{"h":"a","h":"b"}', '{"h":"\\u00e9"}',
    ]:
        cases.append(query("SELECT load FROM cpu WHERE host = $h", params=params))
        cases.append(query("SELECT load FROM cpu WHERE host =~ $h", params=params))
        cases.append(query("SELECT load FROM cpu WHERE load > $h", params=params))
        cases.append(query("SELECT load FROM cpu LIMIT $h", params=params))
        cases.append(query("SHOW DATABASES", params=params))
    cases += [query(q, params='{"f":{"identifier":"load"},"m":{"identifier":"cpu"},"t":"1970-01-01T00:01:00Z","d":{"duration":"2m"},"n":2}') for q in [
        "SELECT $f FROM $m", "SELECT $f FROM cpu WHERE time > $t", "SELECT mean($f) FROM $m WHERE time >= 0 AND time < 6m GROUP BY time($d)", "SELECT load FROM cpu LIMIT $n", "SELECT load FROM cpu WHERE time > $n", "SELECT load FROM cpu WHERE time > 0 + $d", "SELECT \"$f\" FROM cpu", "SELECT $\"f\" FROM cpu", "SELECT $ FROM cpu", "SELECT $nope FROM cpu", "SHOW TAG VALUES FROM $m WITH KEY = $f", "SELECT percentile(load, $n) FROM cpu",
    ]]
    many = "SELECT * FROM neg; SELECT * FROM nosuch..x; SHOW DATABASES; SELECT v FROM neg"
    for params in [{}, {"chunked": "true"}, {"pretty": "true"}, {"headers": {"Accept": "text/csv"}}, {"headers": {"Accept": "application/x-msgpack"}}, {"method": "POST"}]:
        for q in [many, "SELECT mean(v), v FROM neg; SELECT v FROM neg", "SELECT v FROM neg; SELECT foo(v) FROM neg", "SELECT v FROM neg;SELECT v FROM neg", "SELECT v FROM nosuch; SELECT v FROM neg", "SELECT v FROM nosuch;SELECT v FROM nosuch2"]:
            cases.append(query(q, **params))
    for name, target in [
        ("no q", "/query?db=r"), ("empty q", "/query?db=r&q="), ("nothing", "/query"), ("q blank", "/query?q=+"), ("no db", url("/query", q="SELECT * FROM cpu")), ("empty db", url("/query", db="", q="SELECT * FROM cpu")), ("unknown db", url("/query", db="nosuch", q="SELECT * FROM cpu")),
        ("unknown db show", url("/query", db="nosuch", q="SHOW MEASUREMENTS")), ("no db show", url("/query", q="SHOW MEASUREMENTS")), ("no db tag keys", url("/query", q="SHOW TAG KEYS")), ("no db field keys", url("/query", q="SHOW FIELD KEYS")), ("no db tag values", url("/query", q="SHOW TAG VALUES WITH KEY = host")), ("no db series", url("/query", q="SHOW SERIES")), ("no db rps", url("/query", q="SHOW RETENTION POLICIES")), ("unknown db rps", url("/query", db="nosuch", q="SHOW RETENTION POLICIES")),
        ("rp", url("/query", db="w", rp="month", q="SELECT * FROM rp")), ("unknown rp", url("/query", db="r", rp="nosuch", q="SELECT * FROM cpu")), ("empty rp", url("/query", db="r", rp="", q="SELECT v FROM neg")), ("autogen", url("/query", db="r", rp="autogen", q="SELECT v FROM neg")), ("qualified without db", url("/query", q="SELECT v FROM r.autogen.neg")), ("qualified without db or rp", url("/query", q="SELECT v FROM r..neg")), ("rp without db", url("/query", q="SELECT v FROM autogen.neg")),
        ("trailing slash", url("/query/", db="r", q="SELECT v FROM neg")), ("two q", "/query?db=r&q=SHOW+DATABASES&q=SELECT+1"), ("node_id", url("/query", db="r", q="SELECT v FROM neg", node_id=1)), ("node_id bad", url("/query", db="r", q="SELECT v FROM neg", node_id="x")), ("async", url("/query", db="r", q="SELECT v FROM neg", **{"async": "true"})), ("bad escape", "/query?db=r&q=%zz"), ("semicolons", "/query?db=r;q=SHOW+DATABASES"), ("plus", "/query?db=r&q=SELECT+v+FROM+neg"), ("invalid utf8", "/query?db=r&q=SELECT+%ff+FROM+neg"),
        ("invalid utf8 name", "/query?db=r&q=SELECT+%22%ff%22+FROM+neg"),
    ]:
        cases.append(Case("query " + name, "GET", target))
        cases.append(Case("query POST " + name, "POST", target))
    q = "SELECT v FROM neg"
    boundary = {"Content-Type": "multipart/form-data; boundary=B"}

    def multipart(*parts):
        return "".join(f'--B\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n' for name, more, value in parts) + "--B--\r\n"

    for name, target, body, headers in [
        ("form", "/query", urlencode({"db": "r", "q": q}), {"Content-Type": FORM}), ("form charset", "/query", urlencode({"db": "r", "q": q}), {"Content-Type": FORM + "; charset=utf-8"}), ("form and url", "/query?db=r", urlencode({"q": q}), {"Content-Type": FORM}), ("form wins", "/query?db=nosuch&epoch=s", urlencode({"q": q, "db": "r", "epoch": "ns"}), {"Content-Type": FORM}), ("form without type", "/query?db=r", urlencode({"q": q}), {}),
        ("form empty type", "/query?db=r", urlencode({"q": q}), {"Content-Type": ""}), ("form json type", "/query?db=r", urlencode({"q": q}), {"Content-Type": "application/json"}), ("url with json type", url("/query", db="r", q=q), None, {"Content-Type": "application/json"}), ("json body", "/query?db=r", json.dumps({"q": q}), {"Content-Type": "application/json"}),
        ("influxql", "/query?db=r", q, {"Content-Type": "application/vnd.influxql"}), ("influxql charset", "/query?db=r", q, {"Content-Type": "application/vnd.influxql; charset=utf-8"}), ("influxql and q", url("/query", db="r", q="SHOW DATABASES"), q, {"Content-Type": "application/vnd.influxql"}), ("influxql empty", "/query?db=r", "", {"Content-Type": "application/vnd.influxql"}),
        ("multipart field", "/query?db=r", multipart(("q", "", q)), boundary), ("multipart file", "/query?db=r", multipart(("q", '; filename="q.txt"', q)), boundary), ("multipart all", "/query", multipart(("q", "", q), ("db", "", "r"), ("epoch", "", "s")), boundary), ("multipart params", "/query", multipart(("q", "", "SELECT load FROM cpu WHERE host=$h"), ("db", "", "r"), ("params", "", '{"h":"a"}')), boundary), ("multipart both", "/query?db=r&q=SHOW+DATABASES", multipart(("q", '; filename="q.txt"', q)), boundary),
        ("multipart cut", "/query?db=r", multipart(("q", "", q))[:-20], boundary), ("multipart empty", "/query?db=r", "", boundary), ("multipart no boundary", url("/query", db="r", q=q), multipart(("q", "", q)), {"Content-Type": "multipart/form-data"}), ("multipart wrong", "/query?db=r", multipart(("q", "", q)), {"Content-Type": "multipart/form-data; boundary=C"}), ("multipart mixed", url("/query", db="r", q=q), multipart(("q", "", q)), {"Content-Type": "multipart/mixed; boundary=B"}),
        ("garbage type", url("/query", db="r", q=q), "x", {"Content-Type": "a/b/c;;"}), ("bad form", url("/query", db="r"), "q=%zz", {"Content-Type": FORM}), ("bad form and url", url("/query", db="r", q=q), "x=%zz", {"Content-Type": FORM}), ("text body", "/query?db=r", q, {"Content-Type": "text/plain"}), ("gzip form", "/query?db=r", gzip.compress(urlencode({"q": q}).encode()), {"Content-Type": FORM, "Content-Encoding": "gzip"}),
    ]:
        cases.append(Case("query POST " + name, "POST", target, body, headers))
        cases.append(Case("query GET " + name, "GET", target, body, headers))
    for q in ["EXPLAIN SELECT v FROM neg", "EXPLAIN ANALYZE SELECT v FROM neg", "EXPLAIN SELECT v FROM nosuch"]:
        cases.append(query(q, but="the embedded store has no plan to show"))
    for q in ["SELECT v INTO x FROM neg", "CREATE DATABASE r", "DROP DATABASE nosuch", "DELETE FROM nosuch", "SHOW DATABASES; DROP SERIES FROM nosuch", "SET PASSWORD FOR nobody = 'x'", "KILL QUERY 1"]:
        cases.append(query(q, but=REFUSED))
    cases.append(query("SELECT n FROM cpu", headers={"Accept-Encoding": "gzip"}))
    cases.append(query("SELECT * FROM many", headers={"Accept-Encoding": "gzip, deflate"}))
    return cases


def part_auth():
    cases = []

    def basic(text):
        return "Basic " + base64.b64encode(text.encode()).decode()

    token = "token authentication is more lenient here"
    for name, auth in [
        ("none", None), ("right", ADMIN), ("lower scheme", ADMIN.replace("Basic", "basic")), ("wrong", basic("admin:nope")), ("no user", basic(f":{TOKEN}")), ("other user", basic(f"bob:{TOKEN}")), ("no password", basic("admin:")), ("no colon", basic("admin")), ("empty", "Basic "), ("bare", "Basic"), ("garbage", "Basic !!!"), ("blank", ""), ("scheme only", "Foo bar"),
        ("token", f"Token admin:{TOKEN}"), ("token alone", f"Token {TOKEN}"), ("token wrong", "Token admin:nope"), ("bearer", f"Bearer {TOKEN}"), ("bearer garbage", "Bearer x.y.z"), ("bearer blank", "Bearer "), ("digest", "Digest x"),
    ]:
        but = None
        if name in ("no user", "other user"):
            but = "user names are ignored"
        if name in ("lower scheme", "bearer", "token alone", "token", "token wrong"):
            but = token
        for target, method, body in [(url("/query", db="r", q="SELECT v FROM neg"), "GET", None), ("/write?db=w", "POST", "au v=1 1"), ("/ping", "GET", None), ("/query", "GET", None), ("/write", "POST", "x"), ("/nosuch", "GET", None)]:
            cases.append(Case(f"auth {name} {method} {target[:7]}", method, target, body, auth=auth, but=but if but and target != "/ping" else None))
        cases.append(Case(f"auth {name} csv", "GET", url("/query", db="r", q="SELECT v FROM neg"), None, {"Accept": "text/csv"}, auth=auth, but=but))
        cases.append(Case(f"auth {name} msgpack", "GET", url("/query", db="r", q="SELECT v FROM neg"), None, {"Accept": "application/x-msgpack"}, auth=auth, but=but))
        cases.append(Case(f"auth {name} pretty", "GET", url("/query", db="r", q="SELECT v FROM neg", pretty="true"), None, auth=auth, but=but))
    for name, params in [("right", {"u": "admin", "p": TOKEN}), ("wrong", {"u": "admin", "p": "x"}), ("u only", {"u": "admin"}), ("p only", {"p": TOKEN}), ("other", {"u": "bob", "p": TOKEN}), ("empty", {"u": "", "p": ""})]:
        but = "user names are ignored" if name in ("p only", "other") else None
        for auth in [None, ADMIN, basic("admin:nope")]:
            cases.append(Case(f"auth url {name} {auth}", "GET", url("/query", db="r", q="SELECT v FROM neg", **params), auth=auth, but=but))
            cases.append(Case(f"auth form {name} {auth}", "POST", "/query", urlencode({"db": "r", "q": "SELECT v FROM neg", **params}), {"Content-Type": FORM}, auth=auth, but="credentials in form bodies are not looked at" if auth is None else but))
            cases.append(Case(f"auth write {name} {auth}", "POST", url("/write", db="w", **params), "au v=1 1", auth=auth, but=but))
    return cases


def part_other():
    cases = []
    for target in ["/ping", "/ping?verbose=true", "/ping?verbose=1", "/ping?verbose=false", "/ping?verbose=", "/ping?verbose=0", "/ping?verbose=x", "/ping?verbose=t", "/ping/", "/ping?verbose=TRUE", "/ping?wait_for_leader=1s", "/ping?wait_for_leader=x", "/ping?u=admin&p=x"]:
        for method in ["GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE"]:
            cases.append(Case(f"other {method} {target}", method, target, auth=None))
    for target in ["/", "/nosuch", "/query/x", "/write/x", "/health", "/status", "/metrics", "/debug/vars", "/api/v2/write", "/favicon.ico", "/PING", "/ping/x", "/query%2f", "//", "/a/../ping", "/./ping"]:
        for method in ["GET", "HEAD", "POST", "OPTIONS"]:
            for auth in [None, ADMIN]:
                cases.append(Case(f"other {method} {target} {'with' if auth else 'without'} credential", method, target, auth=auth))
    for target in ["/ping", "/query", url("/query", q="SHOW DATABASES"), "/write?db=w", "/nosuch"]:
        for method in ["OPTIONS", "GET", "POST"]:
            for more in [{}, {"Access-Control-Request-Method": "POST"}, {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}]:
                for auth in [None, ADMIN]:
                    for origin in ["http://example.org", "null", ""]:
                        cases.append(Case(f"cors {method} {target} {origin} {sorted(more)} {'with' if auth else 'without'}", method, target, None, {"Origin": origin, **more}, auth=auth))
    return cases


PARTS = {"write": part_write, "query": part_query, "auth": part_auth, "other": part_other}


# Servers.


def start(servers, shim):
    servers.influxd(THEIRS, RPC, auth=True)
    servers.shim(shim, OURS, f"""
[auth]
mode = "local"
[[auth.token]]
name = "admin"
token = "{TOKEN}"
access = "all"
[embedded]
data_dir = "{servers.folder}/shim"
""")
    setup = [f"CREATE USER admin WITH PASSWORD '{TOKEN}' WITH ALL PRIVILEGES", "CREATE DATABASE w", "CREATE RETENTION POLICY month ON w DURATION 0s REPLICATION 1", "CREATE DATABASE r", "CREATE DATABASE lines"]
    for q in setup:
        status, _, body = send(THEIRS, Case("", "POST", url("/query", q=q)))
        if status != 200:
            sys.exit(f"{q}: {body}")
    for port in (THEIRS, OURS):
        for case in [Case("", "POST", "/write?db=r", DATA), Case("", "POST", "/write?db=w&rp=month", "rp v=0 0"), Case("", "POST", "/write?db=w", "m v=1 1"), Case("", "POST", "/write?db=lines", "first v=1 1")]:
            status, _, body = send(port, case)
            if status != 204:
                sys.exit(f"{port}: {status} {body}")


def show(answer):
    status, headers, body = answer
    text = body.decode("utf-8", "backslashreplace") if not any(c < 9 for c in body) else repr(body)
    return f"{status} {headers} {text[:1500].rstrip()}"


def main():
    arguments = sys.argv[1:]
    verbose = "-v" in arguments
    shim, *parts = [argument for argument in arguments if argument != "-v"]
    servers, counts = Servers("wire-"), {"same": 0, "meant": 0, "different": 0}
    try:
        start(servers, shim)
        for part in parts or PARTS:
            for case in PARTS[part]():
                theirs, ours = send(THEIRS, case), plain(send(OURS, case))
                why = meant(case, theirs, ours)
                kind = "same" if theirs == ours else "meant" if why else "different"
                counts[kind] += 1
                if kind == "different" or (kind == "meant" and verbose):
                    print(f"{kind}: {case.name}" + (f" ({why})" if why else ""))
                    same = theirs[1].items() & ours[1].items()
                    for who, (status, headers, body) in (("1.6.7", theirs), ("ours ", ours)):
                        print(f"  {who} {show((status, dict(headers.items() - same), body))}")
    finally:
        print("\n".join(servers.complaints()))
        servers.close()
    print(counts)
    sys.exit(counts["different"] > 0)


if __name__ == "__main__":
    main()
