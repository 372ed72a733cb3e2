"""The data sets: each a database of its own, the same on every run."""
import random

SECOND = 10**9
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND
# 2017-01-02T00:00:00Z, a Monday: a week's shard group begins.
START = 1483315200 * SECOND


class Int(int):
    """An integer field; a plain Python number is a float."""


class DataSet:
    """Points, and what is in them: `schema` maps a measurement to its fields' types and its tags' values."""

    def __init__(self, name, start, end, step):
        self.name, self.start, self.end, self.step = name, start, end, step
        self.points = {"autogen": []}
        self.schema = {}
        self.policies = {}

    def add(self, measurement, tags, fields, time, policy="autogen"):
        self.points.setdefault(policy, []).append(line(measurement, tags, fields, time))
        known = self.schema.setdefault(measurement, ({}, {}))
        self.policies.setdefault(measurement, set()).add(policy)
        for name, value in fields.items():
            known[0].setdefault(name, set()).add(kind(value))
        for name, value in tags.items():
            known[1].setdefault(name, {})[value] = True

    def fields(self, measurement):
        return self.schema[measurement][0]

    def tags(self, measurement):
        return self.schema[measurement][1]


def kind(value):
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, Int) else "float" if isinstance(value, (int, float)) else "string"


def escape(text, chars):
    return "".join("\\" + char if char in chars else char for char in text)


def line(measurement, tags, fields, time):
    def field(value):
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, Int):
            return f"{int(value)}i"
        if isinstance(value, (int, float)):
            return repr(float(value))
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    key = escape(measurement, ", ") + "".join(f",{name}={value}" for name, value in sorted((escape(name, ", ="), escape(value, ", =")) for name, value in tags.items()))
    columns = ",".join(escape(name, ", =") + "=" + field(value) for name, value in fields.items())
    return f"{key} {columns} {time}"


def regular():
    """A point every 10 s: half an hour of four hosts."""
    rng = random.Random("regular")
    data = DataSet("regular", START, START + 30 * MINUTE, 10 * SECOND)
    for i in range(180):
        for host in range(4):
            tags = {"host": f"h{host}", "region": "eu" if host < 2 else "us"}
            fields = {"usage": round(rng.uniform(0, 100), 2), "n": Int(rng.randint(-50, 50)), "up": rng.random() < 0.8}
            data.add("cpu", tags, fields, START + i * 10 * SECOND)
            if i % 6 == host:
                data.add("disk", {"host": f"h{host}", "path": "/" if i % 4 else "/var"}, {"used": Int(i * 1000 + host), "free": i / 7, "state": rng.choice(["ok", "warn", "bad"])}, START + i * 10 * SECOND)
    return data


def sparse():
    """Fields that are missing in most points, windows without any."""
    rng = random.Random("sparse")
    data = DataSet("sparse", START, START + 6 * HOUR, 10 * MINUTE)
    for i in range(36):
        for room in ("a", "b", "c"):
            fields = {}
            for name, chance, value in (
                ("temp", 0.4, round(rng.uniform(-10, 30), 1)), ("count", 0.3, Int(rng.randint(0, 9))), ("note", 0.2, rng.choice(["x", "y", ""])),
                ("on", 0.2, rng.random() < 0.5), ("rare", 0.03, 7.5),
            ):
                if rng.random() < chance and not 12 <= i < 20:
                    fields[name] = value
            if fields:
                tags = {"room": room} | ({"floor": "1"} if room != "c" else {})
                data.add("sensor", tags, fields, START + i * 10 * MINUTE + rng.choice([0, 0, 61 * SECOND]))
    data.add("once", {"room": "a"}, {"v": 1.5}, START + HOUR)
    data.add("onlytag", {"room": "b"}, {"v": Int(3)}, START + 2 * HOUR)
    return data


def irregular():
    """Times at all distances, down to nanoseconds, over three weeks of shard groups."""
    rng = random.Random("irregular")
    data = DataSet("irregular", START, START + 20 * DAY, 12 * HOUR)
    time = START
    for i in range(120):
        time += int(rng.choice([1, 999, 10**6, SECOND, 17 * SECOND, MINUTE, HOUR, 11 * HOUR, DAY]) * rng.uniform(0.5, 1))
        data.add("event", {"kind": rng.choice("pqr")}, {"v": round(rng.gauss(0, 10), 3), "n": Int(i), "s": rng.choice(["red", "green", "blue"]), "b": i % 3 == 0}, time)
    return data


def mixed():
    """The same names with different types in different measurements, and a tag that is a field elsewhere."""
    data = DataSet("mixed", START, START + HOUR, 5 * MINUTE)
    for i in range(12):
        time = START + i * 5 * MINUTE
        data.add("floats", {"id": f"{i % 3}"}, {"v": i * 1.25, "w": -i / 3}, time)
        data.add("integers", {"id": f"{i % 2}"}, {"v": Int(i * i), "w": Int(5 - i)}, time)
        data.add("strings", {"id": "x"}, {"v": "abc"[i % 3], "w": f"{i}"}, time)
        data.add("booleans", {"id": "y"}, {"v": i % 2 == 0, "w": i > 5}, time)
        data.add("tagged", {"v": f"t{i % 3}", "other": "o"}, {"id": Int(i), "x": i / 2}, time)
    return data


def conflict():
    """One field with another type in every week."""
    data = DataSet("conflict", START, START + 28 * DAY, 2 * DAY)
    for i in range(28):
        week = i // 7
        value = [i * 1.5, Int(i * 10), f"s{i}", i % 2 == 0][week]
        back = [i % 2 == 1, f"r{i}", Int(i), i / 4][week]
        fields = {"v": value, "r": back, "steady": i / 2, "c": Int(i)}
        if week in (1, 3):
            fields["half"] = Int(i) if week == 1 else float(i)
        data.add("m", {"t": "ab"[i % 2]}, fields, START + i * DAY + HOUR)
        data.add("other", {"t": "a"}, {"v": Int(i), "own": week < 2}, START + i * DAY + HOUR)
    return data


def cardinal():
    """Many series."""
    rng = random.Random("cardinal")
    data = DataSet("cardinal", START, START + 5 * MINUTE, MINUTE)
    for i in range(400):
        for j in range(2):
            data.add("req", {"id": f"{i:03}", "shard": f"s{i % 7}", "zone": "abc"[i % 3]}, {"ms": round(rng.expovariate(0.1), 2), "code": Int(rng.choice([200, 200, 404, 500]))}, START + rng.randint(0, 4) * MINUTE + j * SECOND)
    return data


def duplicates():
    """Points of several series at one time, and points written again."""
    data = DataSet("duplicates", START, START + 10 * MINUTE, MINUTE)
    for i in range(8):
        time = START + i * MINUTE
        for k, tag in enumerate("cab"):
            data.add("d", {"t": tag}, {"v": float((i * 7 + k * 3) % 5), "n": Int((i + k) % 3), "s": "pq"[(i + k) % 2], "b": (i * k) % 2 == 0}, time)
        data.add("d", {"t": "a"}, {"v": i + 0.5}, time)
        data.add("d", {"t": "b"}, {"extra": Int(i)}, time)
        data.add("d", {}, {"v": 2.0, "n": Int(1)}, time)
    for i in range(5):
        data.add("same", {"t": f"{i}"}, {"v": 1.0, "n": Int(1), "s": "same", "b": True}, START)
    return data


def negative():
    """Times before, at and after 1970."""
    data = DataSet("negative", -3 * HOUR, 3 * HOUR, 30 * MINUTE)
    for i in range(-12, 13):
        data.add("old", {"side": "before" if i < 0 else "after"}, {"v": i / 2, "n": Int(i), "s": f"{i}", "b": i < 0}, i * 15 * MINUTE - (1 if i % 2 else 0))
    data.add("old", {"side": "far"}, {"v": 99.5, "n": Int(99)}, -40 * 365 * DAY)
    data.add("old", {"side": "far"}, {"v": -99.5, "n": Int(-99)}, 80 * 365 * DAY)
    return data


def unicode():
    """Names and values outside ASCII, and those that want quoting."""
    data = DataSet("unicode", START, START + HOUR, 5 * MINUTE)
    for i, city in enumerate(["Köln", "東京", "Zürich", "a,b c", "x=1", "it's", 'q"q', "back\\slash", "😀", "<&>"]):
        time = START + i * 5 * MINUTE
        data.add("wetter", {"stadt": city, "größe": "groß" if i % 2 else "klein"}, {"temperatur °C": i - 3.5, "größe": Int(i), "text": f"„{city}“\n{i}", "ж": i % 2 == 0}, time)
        data.add("sp ace,com", {"tag key": city}, {"field key": float(i), "select": Int(i)}, time)
        data.add("select", {"from": "where"}, {"group": i / 8, "limit": Int(i)}, time)
    return data


def clocks():
    """Hours around the changes of the clocks in Europe and America."""
    data = DataSet("clocks", 1488931200 * SECOND, 1509926400 * SECOND, 12 * HOUR)
    # 2017-03-12 and 2017-11-05 (America), 2017-03-26 and 2017-10-29 (Europe).
    for change in (1489276800, 1490486400, 1509235200, 1509840000):
        for i in range(-30, 31):
            data.add("clock", {"place": "ab"[i % 2]}, {"v": float(i), "n": Int(i * i), "s": f"{i % 5}", "b": i % 3 == 0}, (change + i * 3600) * SECOND)
    return data


def texts():
    """Strings and booleans only."""
    data = DataSet("texts", START, START + HOUR, 4 * MINUTE)
    words = ["", "alpha", "beta", "gamma", "Alpha", "a b", "10", "true", "ünï", "it's", "alpha", "z" * 40]
    for i in range(24):
        fields = {"word": words[i * 5 % 12], "flag": i % 3 != 0}
        if i % 4 == 0:
            fields["maybe"] = i % 8 == 0
        data.add("log", {"level": ["info", "warn", "error"][i % 3], "app": "web" if i % 2 else "db"}, fields, START + i * 2 * MINUTE + i)
    return data


def many():
    """Many measurements, for regular expressions."""
    data = DataSet("many", START, START + 4 * MINUTE, MINUTE)
    for i in range(40):
        name = ["cpu", "mem", "disk.io", "net-if", "App"][i % 5] + f"_{i:02}"
        for j in range(3):
            data.add(name, {"host": f"h{j % 2}", f"tag{i % 4}": "x"}, {"value": float(i + j), ["int", "integer2", "other"][i % 3]: Int(i * j), "note": f"{name} {j}"}, START + j * MINUTE)
    return data


def policies():
    """Several retention policies of one database."""
    data = DataSet("policies", START, START + 2 * HOUR, 10 * MINUTE)
    for i in range(12):
        time = START + i * 10 * MINUTE
        data.add("m", {"host": "ab"[i % 2]}, {"v": float(i), "n": Int(i)}, time)
        data.add("m", {"host": "bc"[i % 2]}, {"v": 100.0 + i, "n": Int(50 - i)}, time + SECOND, "weekly")
        # Not in the schema: what 1.6.7's index knows of other policies shows.
        data.points["autogen"].append(line("split", {"mine": "y"}, {"v": float(i)}, time))
        data.points["weekly"].append(line("split", {"theirs": "z"}, {"w": float(i)}, time))
        data.add("m", {"host": "a"}, {"v": float(-i), "n": Int(i)}, time, "Odd Name")
        data.add("only", {"host": "z"}, {"x": i / 3}, time, "weekly")
    return data


def extremes():
    """Numbers at the edges of their types."""
    data = DataSet("extremes", START, START + HOUR, 5 * MINUTE)
    floats = [0.0, -0.0, 1e150, 1e-150, 5e-324, 1e21, 1e-7, 0.1, 123456789.125, -1.5, 2.5, 1e16]
    integers = [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1, 7, -7, 2, 10**18, 3]
    for i in range(12):
        data.add("edge", {"t": "ab"[i % 2]}, {"f": floats[i], "i": Int(integers[i]), "small": float(integers[i] % 10), "s": str(integers[i]), "b": integers[i] % 2 == 0}, START + i * 5 * MINUTE)
    return data


def hosts():
    """A few hosts with tags and fields missing."""
    data = DataSet("hosts", START, START + 5 * MINUTE, 10 * SECOND)
    rng = random.Random("hosts")
    for i in range(30):
        for host, region in (("a", "eu"), ("b", "eu"), ("c", None), ("d", "us"), (None, "us"), (None, None)):
            if rng.random() < 0.3:
                continue
            fields = {"usage": round(rng.uniform(0, 10), 1), "n": Int(rng.randint(0, 9)), "s": rng.choice("xyz"), "b": rng.random() < 0.5}
            for name in rng.sample(sorted(fields), rng.randint(0, 2)):
                del fields[name]
            data.add("cpu", {name: value for name, value in (("host", host), ("region", region)) if value}, fields, START + i * 10 * SECOND)
            if i % 3 == 0:
                data.add("mem", {"host": host or "e"}, {"used": Int(i), "free": i / 4}, START + i * 10 * SECOND)
    return data


def load():
    """All data sets, by name."""
    sets = [regular(), sparse(), irregular(), mixed(), conflict(), cardinal(), duplicates(), negative(), unicode(), clocks(), texts(), many(), policies(), extremes(), hosts()]
    return {data.name: data for data in sets}
