"""Compares v1shim in profile "v1" with a real InfluxDB 1.6.7, statement by statement: see README.md."""
import argparse, configparser, http.client, pathlib, random, re, sys, time, urllib.parse
from collections import Counter

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cases"))

import compare, data, generator
from servers import Servers, free_port

THEIRS, RPC, OURS = free_port(), free_port(), free_port()
LEAST = 20
TIMEOUT = 30


class Connection:
    """Keeps a connection to a server open."""

    def __init__(self, port):
        self.port, self.connection = port, None

    def send(self, method, path, parameters, body=None):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        target = path + "?" + urllib.parse.urlencode(parameters)
        self.connection.request(method, target, body)

    def receive(self):
        reply = self.connection.getresponse()
        return reply.status, reply.read()

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class Deliberate:
    """A difference that is meant. It is narrow: the statement and, where they are given, both answers have to match."""

    def __init__(self, name, section):
        unknown = set(section) - {"why", "statement", "theirs", "ours", "equal"}
        unknown |= {section["equal"]} - set(EQUAL) if "equal" in section else set()
        if unknown or not section.get("why") or not section.get("statement"):
            sys.exit(f"deliberate.ini: [{name}] needs why and statement, and has {sorted(section)}")
        self.name, self.why, self.equal, self.used = name, section["why"], section.get("equal"), 0
        self.patterns = [re.compile(section[key], re.S) if key in section else None for key in ("statement", "theirs", "ours")]

    def covers(self, statement, theirs, ours):
        """Whether it is this difference."""
        try:
            return self.fits(statement, theirs, ours)
        except (ValueError, KeyError):
            return False

    def fits(self, statement, theirs, ours):
        if not all(pattern is None or pattern.search(text) for pattern, text in zip(self.patterns, (statement, theirs, ours))):
            return False
        return EQUAL[self.equal](theirs, ours) if self.equal else True


def sorted_values(text):
    def walk(value):
        if isinstance(value, dict):
            return {key: sorted(map(repr, value[key])) if key == "values" else walk(value[key]) for key in value}
        return [walk(item) for item in value] if isinstance(value, list) else value

    return walk(compare.parse(text))


def shape(text):
    """An answer without its values: how many there are."""

    def walk(value):
        if isinstance(value, dict):
            return {key: [len(row) for row in value[key]] if key == "values" else walk(value[key]) for key in value}
        return [walk(item) for item in value] if isinstance(value, list) else value

    return walk(compare.parse(text))


def executed(theirs, ours):
    """Whether the results agree up to the failing one, whose error 1.6.7 loses."""
    ran = []
    for text in (theirs, ours):
        results = compare.parse(text)["results"]
        failed = next((i for i, result in enumerate(results) if "error" in result), None)
        if failed is None:
            return False
        ran.append(results[:failed])
    return compare.same(*ran, compare.SUMS)


def series_of(text):
    """All series of an answer, each with the number of its statement."""
    return [{"statement": i} | series for i, result in enumerate(compare.parse(text)["results"]) for series in result.get("series", [])]


def fewer(theirs, ours):
    """Whether their rows are some of ours, series by series."""
    key = lambda series: repr((series["statement"], series.get("name"), series.get("tags"), series["columns"]))
    known = {key(series): series["values"] for series in series_of(ours)}

    def within(few, many):
        rest = iter(many)
        return all(any(compare.same(row, other, compare.SUMS) for other in rest) for row in few)

    errors = [[result.get("error") for result in compare.parse(text)["results"]] for text in (theirs, ours)]
    return errors[0] == errors[1] and all(within(series["values"], known.get(key(series), [])) for series in series_of(theirs))


def counts(theirs, ours):
    """Whether single numbers are there for the same names, theirs not smaller."""
    pairs = list(zip(series_of(theirs), series_of(ours)))
    return len(series_of(theirs)) == len(series_of(ours)) and all(
        a.get("name") == b.get("name") and int(a["values"][0][0]) >= int(b["values"][0][0]) for a, b in pairs
    )


def columns(theirs, ours):
    """Whether their rows are ours with more columns, which hold nothing."""

    def cut(series, other):
        keep = [i for i, name in enumerate(series["columns"]) if name in other["columns"]]
        rest = [i for i in range(len(series["columns"])) if i not in keep]
        if any(row[i] is not None for row in series["values"] for i in rest):
            return None
        tags = {name: value for name, value in series.get("tags", {}).items() if name in other.get("tags", {}) or value}
        return [series.get("name"), tags, [series["columns"][i] for i in keep], [[row[i] for i in keep] for row in series["values"]]]

    pairs = list(zip(series_of(theirs), series_of(ours)))
    whole = [[other.get("name"), other.get("tags", {}), other["columns"], other["values"]] for _, other in pairs]
    return len(series_of(theirs)) == len(series_of(ours)) and compare.same([cut(a, b) for a, b in pairs], whole, compare.SUMS)


def absolute(theirs, ours):
    """Whether they are the same but for integers in columns of abs(), which have names of its own or of an alias."""

    def blank(series):
        free = [i for i, name in enumerate(series["columns"]) if re.search(r"abs|^c\d", name)]
        whole = lambda value: not (value and any(char in value for char in ".eE"))
        rows = [[0 if i in free and whole(value) else value for i, value in enumerate(row)] for row in series["values"]]
        return [series.get("name"), series.get("tags"), series["columns"], rows]

    return compare.same(list(map(blank, series_of(theirs))), list(map(blank, series_of(ours))), compare.SUMS)


def but(free, when=lambda column, value: True):
    """Equality but for the values of columns whose names match."""

    def blank(series):
        places = [i for i, name in enumerate(series["columns"]) if re.search(free, name)]
        rows = [[0 if i in places and when(series["columns"][i], value) else value for i, value in enumerate(row)] for row in series["values"]]
        return [series.get("name"), series.get("tags"), series["columns"], rows]

    return lambda theirs, ours: compare.same(list(map(blank, series_of(theirs))), list(map(blank, series_of(ours))), compare.SUMS)


def filled(theirs, ours):
    """Whether they are the same but for nulls of ours where theirs have a number."""

    def same(a, b):
        return b is None and isinstance(a, compare.Number) or compare.same(a, b, compare.SUMS)

    pairs = list(zip(series_of(theirs), series_of(ours)))
    return len(series_of(theirs)) == len(series_of(ours)) and all(
        a["columns"] == b["columns"] and a.get("tags") == b.get("tags") and len(a["values"]) == len(b["values"])
        and all(same(x, y) for row, other in zip(a["values"], b["values"]) for x, y in zip(row, other))
        for a, b in pairs
    )


def chosen(theirs, ours):
    """Whether theirs have no more series and rows than ours have, and no value, behind the time, that is beyond all of ours."""
    known = {repr((series["statement"], series.get("name"), series.get("tags"), series["columns"])): series for series in series_of(ours)}

    def within(series):
        other = known.get(repr((series["statement"], series.get("name"), series.get("tags"), series["columns"])))
        if other is None or len(series["values"]) > len(other["values"]):
            return False
        if not re.match(r"top|bottom|c\d", series["columns"][1]):
            return compare.same(series["values"], other["values"], compare.SUMS)
        values, ours = ([float(row[1]) for row in rows if row[1] is not None] for rows in (series["values"], other["values"]))
        return not values or bool(ours) and (max(values) <= max(ours) if series["columns"][1] != "bottom" else min(values) >= min(ours))

    return len(series_of(theirs)) <= len(known) and all(map(within, series_of(theirs)))


def more_series(theirs, ours):
    """Whether ours are some of their series."""
    known = series_of(theirs)
    return all(any(compare.same(series, other, compare.SUMS) for other in known) for series in series_of(ours))


EQUAL = {
    "series": more_series,
    "mode": but(r"^mode|^c\d(_|$)"),
    # The time may be the row's own; the percentile itself has to be the same.
    "percentile": but(r"^(?!percentile)"),
    "filled": filled,
    "sorted": lambda theirs, ours: sorted_values(theirs) == sorted_values(ours),
    "sample": lambda theirs, ours: shape(theirs) == shape(ours),
    "chosen": chosen, "executed": executed, "fewer": fewer, "counts": counts, "columns": columns, "absolute": absolute,
}


def kind_of(answers):
    """What two answers are, roughly: what has been made smaller has to differ in the same way."""

    def one(text):
        if "no answer" in text[:10]:
            return "none"
        error = re.search(r'"error":"([^"]*)', text)
        if error:
            return re.sub(r"\W+", " ", re.sub(r"[0-9]+", "", error[1]))[:24]
        return "series" if "series" in text else "empty"

    return tuple(map(one, answers))


class Oracle:
    """The two servers, and what came of asking them."""

    def __init__(self, program, verbose, unfinished):
        self.verbose, self.unfinished = verbose, unfinished
        self.servers = Servers("oracle-")
        self.theirs, self.ours = Connection(THEIRS), Connection(OURS)
        self.counts, self.unstable = Counter(), []
        self.sets = data.load()
        parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
        parser.optionxform = str
        parser.read(HERE / "deliberate.ini")
        self.deliberate = [Deliberate(name, dict(parser[name])) for name in parser.sections()]
        self.program = program

    def start(self):
        self.influxd()
        # As little memory as it takes: most of the data comes to lie in files.
        self.servers.shim(self.program, OURS, f"""
[auth]
mode = "none"
[limits]
query_timeout = "20s"
[embedded]
data_dir = "{self.servers.folder}/shim"
memory = "1MiB"
""")
        self.fill()

    def influxd(self):
        # One processor: with several, 1.6.7 merges series in groups of as many, and points at one time come in another order.
        self.servers.influxd(THEIRS, RPC, coordinator='  query-timeout = "20s"\n', env={"GOMAXPROCS": "1"})

    def fill(self):
        """Writes the data to both, every second point before the first flush to files."""
        for name, points in self.sets.items():
            self.setup(f'CREATE DATABASE "{name}"')
            for policy in points.points:
                if policy != "autogen":
                    self.setup(f'CREATE RETENTION POLICY "{policy}" ON "{name}" DURATION 0s REPLICATION 1')
        self.setup('CREATE DATABASE "ballast"')
        for first in (True, False):
            for name, points in self.sets.items():
                for policy, lines in points.points.items():
                    lines = lines[::2] if first else lines[1::2]
                    self.write(name, policy, lines)
            if first:
                self.write("ballast", "autogen", [f'b s="{"x" * 1000}" {i}' for i in range(1200)])
                files = self.files()
                if not files:
                    sys.exit("no file was written: memory alone would be asked")
        held = sum(len(points) for points in self.sets.values() for points in points.points.values())
        print(f"{len(self.sets)} data sets, {held} points, half of them in {len(self.files())} files")

    def files(self):
        for _ in range(100):
            found = list((self.servers.folder / "shim").rglob("*.parquet"))
            time.sleep(0.2)
            if found and len(found) == len(list((self.servers.folder / "shim").rglob("*.parquet"))):
                return found
        return []

    def setup(self, statement):
        self.theirs.send("POST", "/query", {"q": statement})
        status, body = self.theirs.receive()
        if status != 200 or b"error" in body:
            sys.exit(f"{statement}: {body}")

    def write(self, db, policy, lines):
        for server in (self.theirs, self.ours):
            server.send("POST", "/write", {"db": db, "rp": policy}, "\n".join(lines).encode())
            status, body = server.receive()
            if status != 204:
                sys.exit(f"{db}: {status} {body}")

    def ask(self, parameters):
        """Both answers: their text."""
        answers = []
        for server in (self.theirs, self.ours):
            try:
                server.send("GET", "/query", parameters)
            except (OSError, http.client.HTTPException):
                server.close()
        for server in (self.theirs, self.ours):
            try:
                if server.connection is None:
                    server.send("GET", "/query", parameters)
                _, body = server.receive()
                answers.append(body.decode("utf-8", "replace"))
            except (OSError, http.client.HTTPException) as error:
                server.close()
                answers.append(f"no answer: {error!r}")
        for name, start in (("influxd", self.influxd),):
            if not self.servers.alive(name):
                self.servers.running.pop(name)
                answers[0] = "no answer: the server is gone"
                start()
        if not self.servers.alive("shim"):
            sys.exit(f"v1shim ended at: {parameters}")
        return answers

    def equal(self, statement, theirs, ours):
        if theirs == ours:
            return True
        try:
            return compare.same(compare.parse(theirs), clean(compare.parse(ours)), compare.tolerance(statement))
        except ValueError:
            return False

    def differs(self, db, statement, parameters=None):
        """The answers, if they are not the same and nothing says why."""
        parameters = {"db": db, "epoch": "ns", "q": statement} | (parameters or {})
        theirs, ours = self.ask(parameters)
        if self.equal(statement, theirs, ours):
            self.counts["same"] += 1
            return None
        if self.unfinished and "not implemented" in ours:
            self.counts["not implemented"] += 1
            return None
        for known in self.deliberate:
            if known.covers(statement, theirs, ours):
                known.used += 1
                self.counts["meant"] += 1
                if self.verbose:
                    print(f"MEANT {known.name}, db {db}: {statement}\n  1.6.7 {shorten(theirs)}\n  ours  {shorten(ours)}", flush=True)
                return None
        # Does 1.6.7 agree with itself? integral() walks through a Go map of its groups, which begins at a random one of eight places: two of
        # them change places once in eight times.
        tries = 40 if "integral(" in statement.lower() else 6
        if any(not self.equal(statement, theirs, self.ask(parameters)[0]) for _ in range(tries)):
            self.counts["unstable"] += 1
            self.unstable.append((db, statement))
            return None
        self.counts["different"] += 1
        return theirs, ours

    def minimise(self, db, statement, answers):
        """A smaller statement that differs too, in the same way."""
        wanted = kind_of(answers)
        counts = self.counts.copy()
        tries = 0
        again = True
        while again and tries < 60:
            again = False
            for less in statement.smaller():
                tries += 1
                if tries > 60:
                    break
                found = self.differs(db, str(less))
                if found and kind_of(found) == wanted:
                    statement, again = less, True
                    break
        self.counts = counts
        return statement

    def report(self, where, db, statement, answers):
        print(f"\nDIFFERENT ({where}, db {db}):\n  {statement}")
        theirs, ours = (shorten(text) for text in answers) if not self.verbose else answers
        print(f"  1.6.7 {theirs}\n  ours  {ours}", flush=True)

    # What is asked.

    def corpus(self, only):
        asked = Counter()
        for path in sorted((HERE / "corpus").glob("*.iql")):
            if only and not any(name in path.stem for name in only):
                continue
            db, parameters = None, {}
            for number, line in enumerate(path.read_text().splitlines(), 1):
                line = line.strip()
                if not line or line.startswith("#"):
                    continue
                if line.startswith("@"):
                    db, *more = line[1:].split()
                    parameters = dict(item.split("=", 1) for item in more)
                    continue
                if db not in self.sets:
                    sys.exit(f"{path.name}:{number}: no data set {db}")
                asked[db] += 1
                answers = self.differs(db, line, parameters)
                if answers:
                    self.report(f"{path.name}:{number}", db, line, answers)
        if only:
            return
        print(f"corpus: {sum(asked.values())} statements over {len(asked)} data sets")
        if sum(asked.values()) < 600 or len(asked) < 12:
            sys.exit("the corpus has fewer than 600 statements, or fewer than 12 data sets")

    def random(self, seed, count, minutes, full, keep_going, without, quiet=False):
        """Asks random statements; `quiet` shows the first differences only."""
        covered = Counter()
        end = time.monotonic() + minutes * 60 if minutes else None
        started, number, found = time.monotonic(), 0, 0
        while (end and time.monotonic() < end) if end else number < count:
            # A seed of its own for each, so that one can be asked again.
            mine = f"{seed}/{number}"
            db, statement, seen = generator.Generator(self.sets, mine, without).next()
            covered.update(set(seen))
            answers = self.differs(db, str(statement))
            number += 1
            if answers and quiet and found >= 10:
                found += 1
            elif answers:
                found += 1
                smaller = self.minimise(db, statement, answers)
                if str(smaller) != str(statement):
                    again = self.differs(db, str(smaller))
                    self.counts["different"] -= bool(again)
                    answers = again or answers
                    self.report(f"seed {mine}", db, f"{smaller}\n  (found as: {str(statement)[:600]})", answers)
                else:
                    self.report(f"seed {mine}", db, statement, answers)
                if found >= keep_going:
                    print(f"stopped after {found} differences")
                    break
            if number % 5000 == 0:
                print(f"{number} random statements, {found} differences, {number / (time.monotonic() - started) * 60:.0f} a minute", flush=True)
        print(f"random: {number} statements with seed {seed} in {time.monotonic() - started:.0f} s, {found} different")
        return self.table(covered, without, full)

    def table(self, covered, without, full):
        """How often each function was asked about each type; whether that is enough."""
        functions = [name for name in generator.FUNCTIONS if name not in without]
        print(f"{'statements by function and type':30}" + "".join(f"{kind:>9}" for kind in generator.TYPES))
        short = []
        for name in functions:
            numbers = [covered[name, kind] for kind in generator.TYPES]
            short += [f"{name} of {kind}" for kind, number in zip(generator.TYPES, numbers) if number < LEAST]
            print(f"  {name:28}" + "".join(f"{number:9}" for number in numbers))
        if short and full:
            print(f"asked fewer than {LEAST} times: {', '.join(short)}")
        return not (short and full)


def clean(answer):
    """Our answer without what error bodies have more than 1.x's."""
    if isinstance(answer, dict) and "code" in answer and "message" in answer and "results" not in answer:
        return {"error": answer["error"]}
    return answer


def shorten(text, most=700):
    return text.strip() if len(text) < most else text[: most // 2] + " … " + text[-most // 2 :].strip()


def main():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("program", nargs="?", default=str(HERE.parent.parent / "target/debug/v1shim"), help="v1shim's binary")
    parser.add_argument("--corpus", nargs="*", metavar="FILE", help="the corpus, or the files of it whose names contain one of these")
    parser.add_argument("--random", type=int, default=0, metavar="N", help="so many random statements")
    parser.add_argument("--minutes", type=float, default=0, help="random statements for so long instead")
    parser.add_argument("--seed", default=None, help="seed of the random statements; default: a new one")
    parser.add_argument("--full", action="store_true", help=f"fail if a function was asked about a type fewer than {LEAST} times")
    parser.add_argument("--allow", type=int, default=0, metavar="N", help="don't fail for so many differences in a thousand random statements")
    parser.add_argument("--keep-going", type=int, default=20, metavar="N", help="end after so many differences (default 20)")
    parser.add_argument("--without", default="", help="functions that random statements leave out, with commas")
    parser.add_argument("--unfinished", action="store_true", help="count what is answered with \"not implemented\", but don't fail")
    parser.add_argument("--ask", nargs=2, action="append", metavar=("DB", "STATEMENT"), help="ask both one statement and show the answers")
    parser.add_argument("--verbose", action="store_true", help="show whole answers, and the differences that are meant")
    arguments = parser.parse_args()
    corpus = arguments.corpus is not None or not (arguments.random or arguments.minutes or arguments.ask)
    seed = arguments.seed or str(random.randrange(10**6))
    if arguments.allow:
        arguments.keep_going = 10**9
    oracle = Oracle(arguments.program, arguments.verbose, arguments.unfinished)
    good = True
    try:
        oracle.start()
        for db, statement in arguments.ask or []:
            theirs, ours = oracle.ask({"db": db, "epoch": "ns", "q": statement})
            print(f"{'same' if oracle.equal(statement, theirs, ours) else 'DIFFERENT'} {db}: {statement}\n  1.6.7 {theirs.strip()}\n  ours  {ours.strip()}")
        if corpus:
            oracle.corpus(arguments.corpus)
            good = oracle.counts["different"] == 0
            oracle.counts["different"] = 0
        if arguments.random or arguments.minutes:
            without = [name for name in arguments.without.split(",") if name]
            before = sum(oracle.counts.values())
            good &= oracle.random(seed, arguments.random, arguments.minutes, arguments.full, arguments.keep_going, without, arguments.allow > 0)
            asked = sum(oracle.counts.values()) - before
            good &= oracle.counts["different"] * 1000 <= arguments.allow * asked
    finally:
        complaints = oracle.servers.complaints()
        oracle.servers.close()
    for known in oracle.deliberate:
        if known.used:
            print(f"deliberate, {known.used} times: {known.name}: {known.why}")
    for db, statement in oracle.unstable[:10]:
        print(f"1.6.7 answers differently each time: {db}: {statement[:300]}")
    for line in complaints[:20]:
        print(f"log: {line[:400]}")
    print(dict(oracle.counts))
    sys.exit(not good or any("panic" in line for line in complaints))


if __name__ == "__main__":
    main()
