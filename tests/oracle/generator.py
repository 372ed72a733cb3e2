"""Random statements from the grammar of InfluxQL, made for the data sets."""
import copy, random
from collections import Counter

from data import DAY, HOUR, MINUTE, SECOND

# What each call takes beside the field, by kind of call.
AGGREGATES = ["count", "sum", "mean", "median", "mode", "spread", "stddev", "integral", "distinct"]
SELECTORS = ["first", "last", "max", "min", "percentile", "sample", "top", "bottom"]
TRANSFORMS = ["derivative", "non_negative_derivative", "difference", "non_negative_difference", "cumulative_sum", "elapsed", "moving_average"]
PREDICTIONS = ["holt_winters", "holt_winters_with_fit"]
MATH1 = ["abs", "acos", "asin", "atan", "ceil", "cos", "exp", "floor", "ln", "log2", "log10", "round", "sin", "sqrt", "tan"]
MATH2 = ["atan2", "log", "pow"]
TYPES = ["float", "integer", "string", "boolean"]
# 1.6.7 has `histogram` in its parser alone, and what technical analysis there is came with 1.7.
FUNCTIONS = AGGREGATES + SELECTORS + TRANSFORMS + PREDICTIONS + MATH1 + MATH2
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC", "Australia/Lord_Howe", "America/St_Johns"]


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def literal(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


KEYWORDS = set("""all alter analyze any as asc begin by cardinality create continuous database databases default delete desc destinations
diagnostics distinct drop duration end every exact explain field for from grant grants group groups in inf insert into key keys kill limit
measurement measurements name offset on order password policy policies privileges queries query read replication resample retention revoke
select series set show shard shards slimit soffset stats subscription subscriptions tag to user users values where with write time""".split())


def name_of(name):
    bare = name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit() and name.lower() not in KEYWORDS
    return name if bare else quoted(name)


def duration(nanoseconds):
    for unit, size in (("w", 7 * DAY), ("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 10**6), ("u", 1000)):
        if nanoseconds % size == 0:
            return f"{nanoseconds // size}{unit}"
    return f"{nanoseconds}ns"


class Select:
    """A SELECT in parts, so that parts can be taken away."""

    def __init__(self):
        self.fields, self.sources, self.where, self.group = [], [], [], []
        self.fill = self.order = self.zone = ""
        self.limits = []

    def __str__(self):
        text = f"SELECT {', '.join(map(str, self.fields))} FROM {', '.join(f'({s})' if isinstance(s, Select) else s for s in self.sources)}"
        if self.where:
            text += " WHERE " + " AND ".join(self.where)
        if self.group:
            text += " GROUP BY " + ", ".join(self.group)
        return " ".join(part for part in [text, self.fill, self.order, *self.limits, self.zone] if part)

    def smaller(self):
        """The same with one part less, each in turn."""
        for part in ("fields", "sources", "where", "group", "limits"):
            for i in range(len(getattr(self, part))):
                if part in ("fields", "sources") and len(getattr(self, part)) == 1:
                    continue
                # Without bounds there would be windows up to now.
                if part == "where" and "time" in self.where[i]:
                    continue
                less = copy.deepcopy(self)
                del getattr(less, part)[i]
                yield less
        for part in ("fill", "order", "zone"):
            if getattr(self, part):
                less = copy.deepcopy(self)
                setattr(less, part, "")
                yield less
        for i, source in enumerate(self.sources):
            if isinstance(source, Select):
                for inner in source.smaller():
                    less = copy.deepcopy(self)
                    less.sources[i] = inner
                    yield less


class Text:
    """Any other statement."""

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text

    def smaller(self):
        return iter(())


class Several:
    """Statements in one request."""

    def __init__(self, statements):
        self.statements = statements

    def __str__(self):
        return "; ".join(map(str, self.statements))

    def smaller(self):
        for i in range(len(self.statements)):
            if len(self.statements) > 1:
                yield Several(self.statements[:i] + self.statements[i + 1 :])
        for i, statement in enumerate(self.statements):
            for less in statement.smaller():
                yield Several(self.statements[:i] + [less] + self.statements[i + 1 :])


class Columns:
    """What can be selected of a source: the types of fields, the values of tags; whether it is a subquery with integral()."""

    def __init__(self, fields, tags, integral=False):
        self.fields, self.tags, self.integral = fields, tags, integral


class Generator:
    """Statement after statement from one seed. `without`: functions and features that are left out."""

    def __init__(self, sets, seed, without=()):
        self.sets, self.without = list(sets.values()), set(without)
        self.rng = random.Random(seed)
        self.covered = Counter()
        self.data = None

    # Dice.

    def chance(self, probability):
        return self.rng.random() < probability

    def pick(self, choices):
        return self.rng.choice(list(choices))

    def weighted(self, **weights):
        return self.rng.choices(list(weights), list(weights.values()))[0]

    def functions(self, names):
        return [name for name in names if name not in self.without]

    # Statements.

    def next(self):
        """A database and a statement."""
        self.data = self.pick(self.sets)
        self.seen = []
        roll = self.rng.random()
        if roll < 0.86:
            statement = self.select(0)
        elif roll < 0.96:
            statement = self.show()
        else:
            statement = Several([self.show() if self.chance(0.3) else self.select(0) for _ in range(self.rng.randint(2, 3))])
        return self.data.name, statement, self.seen

    def select(self, depth, windows_around=False):
        select = Select()
        columns = self.sources(select, depth)
        shape = self.weighted(raw=3, aggregate=4, selector=2.5, transform=2.5, math=3, wild=0.25)
        grouped = shape in ("aggregate", "selector", "transform", "wild") and self.chance(0.55) or shape == "math" and self.chance(0.3)
        step = self.interval(select, shape) if grouped and (depth == 0 or self.chance(0.6)) else None
        windows = step is not None
        self.fields(select, columns, shape, windows, depth)
        bounded = self.times(select, windows, step, shape)
        for _ in range(self.rng.choice([0, 0, 0, 1, 1, 2])):
            select.where.append(self.condition(columns))
        tags = list(columns.tags)
        # Of several groups, integral() loses windows in 1.6.7.
        if self.chance(0.4) and not columns.integral and not any("integral(" in field for field in select.fields):
            for _ in range(self.rng.choice([1, 1, 2])):
                roll = self.rng.random()
                if roll < 0.7 and tags:
                    select.group.append(name_of(self.pick(tags)))
                elif roll < 0.85:
                    select.group.append("*")
                elif roll < 0.93:
                    select.group.append(self.pick(["/./", "/^h/", "/o/", "/t|r/"]))
                elif columns.fields:
                    select.group.append(self.pick([name_of(self.pick(columns.fields)), "nosuch"]))
        # Said twice, a tag changes how 1.6.7 sorts and limits.
        select.group = list(dict.fromkeys(select.group))
        if windows and self.chance(0.6) and bounded or shape == "raw" and self.chance(0.08):
            select.fill = f"fill({self.pick(['null', 'none', 'previous', 'linear', '0', '7', '-1.5', '100'])})"
        if depth == 0 and self.chance(0.25):
            select.order = self.pick(["ORDER BY time DESC", "ORDER BY time DESC", "ORDER BY time ASC", "ORDER BY time", "ORDER BY DESC"])
        for word, probability in (("LIMIT", 0.2), ("OFFSET", 0.08), ("SLIMIT", 0.08), ("SOFFSET", 0.05)):
            if self.chance(probability if depth == 0 else probability / 2):
                # Without LIMIT and SLIMIT these mean something else in 1.6.7.
                alone = not any(limit.startswith(word.replace("OFFSET", "LIMIT")) for limit in select.limits)
                # In a subquery with groups of its own, 1.6.7 limits series, not groups.
                if depth > 0 and select.group:
                    continue
                if word.endswith("OFFSET") and alone and (depth > 0 or self.chance(0.8)):
                    continue
                select.limits.append(f"{word} {self.rng.choice([0, 1, 1, 2, 3, 5, 10])}")
        if self.chance(0.08) or windows and self.data.name == "clocks" and self.chance(0.5):
            select.zone = f"tz('{self.pick(ZONES)}')" if self.chance(0.97) else "tz('No/Where')"
        return select

    def sources(self, select, depth):
        data, fields, tags = self.data, {}, {}
        count = self.rng.choice([1, 1, 1, 1, 1, 2])
        # Measurements and subqueries in one FROM are in the corpus: 1.6.7 loses points of them, by the type of what comes first.
        subqueries = depth < 3 and self.chance([0.22, 0.2, 0.15][depth])
        for _ in range(1 if subqueries else count):
            if subqueries:
                inner = self.select(depth + 1)
                select.sources.append(inner)
                for name, types in inner.gives.items():
                    fields.setdefault(name, set()).update(types)
                for name in inner.given_tags:
                    tags.setdefault(name, {"x": True}).update(inner.given_tags[name])
                continue
            measurement = self.pick(data.schema)
            names = [measurement]
            text = name_of(measurement)
            roll = self.rng.random()
            if roll < 0.06:
                start = measurement[:1]
                if start.isalnum():
                    text, names = f"/^{start}/", [name for name in data.schema if name.startswith(start)]
            elif roll < 0.08:
                text, names = "/.*/", list(data.schema)
            elif roll < 0.11 or data.name == "policies" and roll < 0.6:
                policy = self.pick(sorted(data.policies[measurement]) + (["nosuch"] if self.chance(0.05) else []))
                text = self.pick([f"{quoted(policy)}.", f"{name_of(data.name)}.{quoted(policy)}."]) + text
            elif roll < 0.13:
                text = f"{name_of(data.name)}..{text}"
            elif roll < 0.135:
                text = "nosuch"
            select.sources.append(text)
            for name in names:
                for field, types in data.fields(name).items():
                    fields.setdefault(field, set()).update(types)
                for tag, values in data.tags(name).items():
                    tags.setdefault(tag, {}).update(values)
        return Columns(fields, tags, any("integral(" in str(source) for source in select.sources))

    def interval(self, select, shape):
        data = self.data
        step = data.step * self.rng.choice([1, 1, 1, 2, 3, 6]) if self.chance(0.9) else self.rng.choice([data.step * 7 // 3, data.step // 2 + 1, DAY, 7 * DAY])
        # Not more windows than anybody wants to look at.
        while (data.end - data.start) // step > 400:
            step *= 10
        text = duration(step)
        if self.chance(0.2):
            text += ", " + self.pick([duration(step // 3 // 1000 * 1000 + 1000), "-" + duration(data.step), duration(step * 2 + data.step), "1ns", "now()" if step >= DAY and self.chance(0.0) else "0s"])
        select.group.append(f"time({text})")
        return step

    def times(self, select, windows, step, shape):
        """Bounds; whether both are there."""
        data, rng = self.data, self.rng
        if not windows and self.chance(0.6):
            return False
        span = data.end - data.start
        low = data.start + rng.choice([0, 0, 0, span // 4, span // 2, -span // 10, data.step, rng.randrange(span)])
        high = low + rng.choice([span, span, span // 2, span // 8, data.step * 3, rng.randrange(1, span)])

        def text(time):
            roll = rng.random()
            whole = time // SECOND
            if roll < 0.4:
                return str(time)
            if roll < 0.6:
                import datetime

                stamp = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=whole)
                return stamp.strftime(self.pick(["'%Y-%m-%dT%H:%M:%SZ'", "'%Y-%m-%d %H:%M:%S'"]))
            if roll < 0.75:
                return f"{whole}s"
            if roll < 0.85:
                return f"{time // 10**6}ms"
            return f"{whole}s {self.pick('+-')} {duration(data.step)}"

        more, less = self.pick([">=", ">=", ">"]), self.pick(["<", "<", "<="])
        if windows or self.chance(0.5):
            select.where.append(f"time {more} {text(low)}")
            select.where.append(f"time {less} {text(high)}")
            return True
        select.where.append(self.pick([f"time {more} {text(low)}", f"time {less} {text(high)}", f"{text(low)} < time", f"time = {text(low)}", f"time < now() + 1h"] + ([f"time > now() - {duration(60 * 365 * DAY)}"] if shape == "raw" else [])))
        return False

    def condition(self, columns, deep=True):
        rng = self.rng
        if deep and self.chance(0.15):
            return f"({self.condition(columns, False)} {self.pick(['OR', 'OR', 'AND'])} {self.condition(columns, self.chance(0.3))})"
        if columns.tags and self.chance(0.45):
            tag = self.pick(columns.tags)
            name = name_of(tag)
            value = self.pick(columns.tags[tag])
            pattern = "/" + self.pick(["^" + value[:1], value[-1:], ".*", "", "^$", "[a-c]", "0|1"]).replace("\\", "\\\\").replace("/", "\\/").replace("?", "") + "/"
            return self.pick([
                f"{name} = {literal(value)}", f"{name} != {literal(value)}", f"{name} = ''", f"{name} != ''", f"{name} =~ {pattern}", f"{name} !~ {pattern}",
                f"{literal(value)} = {name}", f"{name} = {self.pick(['1', 'true', '1.5', name, name_of(self.pick(columns.tags))])}" if self.chance(0.2) else f"{name} = {literal(value)}",
                f"{name}::tag = {literal(value)}",
            ] + ([f"{name} {self.pick(['<', '>'])} {literal(value)}"] if self.chance(0.2) else []))
        if not columns.fields:
            return "nosuch = 1" if "missing" not in self.without else "true"
        field = self.pick(columns.fields)
        types = sorted(columns.fields[field])
        kind = self.pick(types) if self.chance(0.93) else self.pick(TYPES)
        name = name_of(field)
        compare = self.pick(["=", "!=", "<", "<=", ">", ">=", "<>"])
        if kind in ("float", "integer"):
            value = self.pick(["0", "1", "3", "2.5", "10", "50.5", "-1", "7", "200"])
            # abs() leaves integers as they are in 1.6.7, which conditions don't show.
            size = f"abs({name})" if kind == "float" and "integer" not in types else name
            left = self.pick([name] * 6 + [f"{name} + 1", f"{name} * 2", f"{name} / 2", f"-{name}", f"{name} % 3", size]) if self.chance(0.3) else name
            if self.chance(0.1):
                value = name_of(self.pick(columns.fields))
            return f"{value} {compare} {left}" if self.chance(0.08) else f"{left} {compare} {value}"
        if kind == "boolean":
            return f"{name} {self.pick(['=', '!=', '=', '<'] if self.chance(0.1) else ['=', '!='])} {self.pick(['true', 'false'])}" if self.chance(0.93) else name
        if self.chance(0.3):
            return f"{name} {self.pick(['=~', '!~'])} /{self.pick(['a', '^b', 'x|y', 'e$', '^$', '[0-9]'])}/"
        return f"{name} {self.pick(['=', '!=', '='] + ([compare] if self.chance(0.1) else []))} {literal(self.pick(['x', 'y', 'red', 'ok', 'a', 'alpha', '', 's3', 'it' + chr(39) + 's']))}"

    # Columns.

    def field(self, columns, wanted=None):
        """A field, of a type that is wanted if there is one."""
        if not columns.fields:
            return "v", "unknown"
        names = [name for name in columns.fields if wanted is None or columns.fields[name] & set(wanted)]
        name = self.pick(names or columns.fields)
        return name, sorted(columns.fields[name])[0]

    def cover(self, function, columns, name):
        for kind in columns.fields.get(name, ()):
            self.seen.append((function, kind))

    def argument(self, columns, function, numbers):
        """The text of a call's first argument."""
        roll = self.rng.random()
        if roll < 0.06:
            for name in columns.fields:
                self.cover(function, columns, name)
            return "*"
        if roll < 0.1:
            return self.pick(["/./", "/^v/", "/n/", "/u|s/"])
        name, _ = self.field(columns, ["float", "integer"] if numbers and self.chance(0.8) else None)
        self.cover(function, columns, name)
        if self.chance(0.02) and columns.tags:
            return name_of(self.pick(columns.tags))
        if self.chance(0.01):
            return self.pick(["nosuch", "1", "'x'", f"{name_of(name)} + 1", "time"])
        return name_of(name) + (self.pick(["::field", "::float", "::integer"]) if self.chance(0.04) else "")

    def mean(self, function, argument):
        """The function, or another one instead of mean() of integers whose sum overflows: 1.6.7 lets that of each series overflow on its own."""
        overflows = self.data.name == "extremes" and function == "mean" and not argument.startswith(("f", "small"))
        return "median" if overflows else function

    def aggregate(self, columns, depth=0):
        function = self.pick(self.functions([name for name in AGGREGATES if depth == 0 or name != "mode"]))
        argument = self.argument(columns, function, function not in ("count", "mode", "distinct"))
        function = self.mean(function, argument)
        if function == "count" and self.chance(0.2):
            name, _ = self.field(columns)
            self.cover("distinct", columns, name)
            self.cover("count", columns, name)
            return f"count(distinct({name_of(name)}))", {"integer"}
        if function == "integral" and self.chance(0.5):
            argument += ", " + self.pick(["1s", "1m", "10m", "1h"])
        return f"{function}({argument})", {"integer"} if function == "count" else {"float"}

    def selector(self, columns, alone):
        function = self.pick(self.functions(SELECTORS if alone else SELECTORS[:5]))
        argument = self.argument(columns, function, function not in ("first", "last", "sample"))
        if function == "percentile":
            argument += ", " + self.pick(["50", "90", "99.9", "0", "100", "1", "10.5"])
        elif function == "sample":
            argument += ", " + self.pick(["1", "3", "1000"])
        elif function in ("top", "bottom"):
            while argument == "*" or argument.startswith("/"):
                argument = name_of(self.field(columns, ["float", "integer"])[0])
            if columns.tags and not columns.integral and self.chance(0.4):
                argument += "".join(f", {name_of(self.pick(columns.tags))}" for _ in range(self.rng.choice([1, 1, 2])))
            argument += ", " + self.pick(["1", "2", "3", "5"])
        return f"{function}({argument})"

    def transform(self, columns, windows):
        function = self.pick(self.functions(TRANSFORMS + (PREDICTIONS * 2 if windows else [])))
        if function in PREDICTIONS:
            argument = self.inner(columns, function)
            return f"{function}({argument}, {self.rng.randint(1, 5)}, {self.pick([0, 0, 2, 4])})"
        argument = self.inner(columns, function) if windows and self.chance(0.95) else self.argument(columns, function, function != "elapsed")
        if function in ("derivative", "non_negative_derivative", "elapsed") and self.chance(0.5):
            argument += ", " + self.pick(["1s", "10s", "1m", "1h", "1ns" if function == "elapsed" else "500ms"])
        elif function == "moving_average":
            argument += f", {self.rng.randint(2, 5) if self.chance(0.97) else self.pick(['1', '0', '2.5'])}"
        return f"{function}({argument})"

    def inner(self, columns, outer=None):
        """An aggregate or a selector within a transformation."""
        # Not mode(): which of several values it gives is up to 1.6.7's sorting.
        if self.chance(0.6):
            function = self.pick(self.functions(["mean", "sum", "count", "median", "spread", "stddev"]))
        else:
            function = self.pick(self.functions(["first", "last", "max", "min", "percentile"]))
        # What predictions don't take is asked for more often: they need windows, and so come up seldom.
        name, _ = self.field(columns, ["float", "integer"] if self.chance(0.6 if outer in PREDICTIONS else 0.85) else None)
        # What is fitted, and what is rounded, depends on the last bits of sums of floats.
        exact = outer not in PREDICTIONS or function != "stddev" and "float" not in columns.fields.get(name, {"float"})
        function = self.mean(function if exact or function not in ("mean", "sum", "stddev") else "median", name)
        self.cover(function, columns, name)
        if outer:
            self.cover(outer, columns, name)
        more = ", 50" if function == "percentile" else ""
        return f"{function}({name_of(name)}{more})"

    def call(self, columns, windows):
        """A call that gives one number."""
        roll = self.rng.random()
        if roll < 0.5:
            return self.aggregate_number(columns)
        if roll < 0.8:
            return self.inner(columns)
        return self.transform(columns, windows)

    def aggregate_number(self, columns):
        function = self.pick(self.functions(["count", "sum", "mean", "median", "spread", "stddev", "integral"]))
        name, _ = self.field(columns, ["float", "integer"])
        function = self.mean(function, name)
        self.cover(function, columns, name)
        return f"{function}({name_of(name)})"

    def arithmetic(self, leaf, deep=2):
        """An expression over leaves."""
        if deep == 0 or self.chance(0.25):
            return leaf() if self.chance(0.8) else self.pick(["1", "2", "0", "2.5", "-3", "10", "0.5"])
        operator = self.pick(["+", "-", "*", "/", "/", "%"] if self.chance(0.95) else ["&", "|", "^"])
        text = f"{leaf() if self.chance(0.6) else self.arithmetic(leaf, deep - 1)} {operator} {self.arithmetic(leaf, deep - 1)}"
        return f"({text})" if self.chance(0.5) else text

    def math(self, columns, argument, kinds):
        """A mathematical function around something."""
        function = self.pick(self.functions(MATH1 * 2 + MATH2 * 3))
        for kind in kinds:
            self.seen.append((function, kind))
        if function in MATH2:
            return f"{function}({argument}, {self.pick(['2', '10', '0.5', argument, '3', '-1', '0'])})"
        return f"{function}({argument})"

    def fields(self, select, columns, shape, windows, depth):
        """Selects something; `select.gives` tells the columns and their types for a query around it."""
        select.gives, select.given_tags = {}, dict(columns.tags)
        rng = self.rng

        def add(text, types, alias=None):
            # Around a subquery a column needs a name that can be told.
            if alias is None and (depth > 0 and self.chance(0.85) or self.chance(0.1)):
                alias = f"c{len(select.fields)}"
            if alias and text not in ("*",) and not text.startswith("/"):
                select.gives[alias] = set(types)
                text += f" AS {alias}"
            select.fields.append(text)

        if shape == "raw":
            if self.chance(0.2):
                select.fields.append(self.pick(["*", "*", "*::field", "*::tag", "/./", "/^v/", "/e/", "*, *"]))
                select.gives.update(columns.fields)
                return
            for _ in range(rng.choice([1, 1, 2, 3])):
                roll = rng.random()
                name, kind = self.field(columns)
                if roll < 0.6:
                    cast = f"::{self.pick(['float', 'integer', 'string', 'boolean', 'field'])}" if self.chance(0.06) else ""
                    select.fields.append(name_of(name) + cast)
                    select.gives[name] = columns.fields.get(name, {"float"})
                elif roll < 0.75 and columns.tags:
                    tag = self.pick(columns.tags)
                    select.fields.append(name_of(tag) + ("::tag" if self.chance(0.2) else ""))
                elif roll < 0.95:
                    add(self.arithmetic(lambda: name_of(self.field(columns, ["float", "integer"] if self.chance(0.93) else None)[0])), {"float"})
                else:
                    select.fields.append(self.pick(["time", "nosuch", "time AS t"] if depth == 0 else ["nosuch"]))
        elif shape == "aggregate":
            for _ in range(rng.choice([1, 1, 1, 2, 3])):
                roll = rng.random()
                if roll < 0.75:
                    add(*self.aggregate(columns, depth))
                else:
                    add(self.arithmetic(lambda: self.call(columns, windows) if self.chance(0.3) else self.aggregate_number(columns), 2), {"float"})
        elif shape == "selector":
            many = self.chance(0.25)
            for _ in range(rng.choice([2, 3]) if many else 1):
                add(self.selector(columns, not many), {"float"})
            if not many and self.chance(0.4):
                for _ in range(rng.choice([1, 2])):
                    # Which row percentile() and sample() pick of several is up to 1.6.7.
                    if depth > 0 and select.fields[0].startswith(("percentile", "sample")):
                        break
                    name = self.pick(list(columns.fields) + list(columns.tags)) if columns.fields or columns.tags else "nosuch"
                    select.fields.append(name_of(name))
                    if name in columns.fields:
                        select.gives[name] = columns.fields[name]
                if self.chance(0.1):
                    select.fields.append("*")
        elif shape == "transform":
            for _ in range(rng.choice([1, 1, 1, 2])):
                add(self.transform(columns, windows), {"float"})
        elif shape == "math":
            for _ in range(rng.choice([1, 1, 2])):
                if windows or self.chance(0.2):
                    name, _ = self.field(columns, ["float", "integer"])
                    function = self.pick(self.functions(["mean", "median"] if depth else ["mean", "sum", "max", "first", "count", "median"]))
                    function = self.mean(function, name)
                    self.cover(function, columns, name)
                    text = self.math(columns, f"{function}({name_of(name)})", ["float"])
                    if text.startswith(("ceil", "floor", "round")):
                        text = text.replace("(mean(", "(median(").replace("(sum(", "(median(")
                    add(text, {"float"})
                else:
                    # A query around this one takes the result for an integer if that is what the function got.
                    name, _ = self.field(columns, [self.pick(TYPES + ["string", "boolean"])] if depth == 0 else ["float"])
                    add(self.math(columns, name_of(name) + ("" if self.chance(0.8) else self.pick([" + 1", " * 2", " / 3"])), columns.fields.get(name, ())), {"float"})
        else:
            # Things that don't go together.
            pieces = [
                lambda: self.aggregate(columns)[0], lambda: self.selector(columns, True), lambda: self.transform(columns, windows), lambda: name_of(self.field(columns)[0]),
                lambda: "*", lambda: "1", lambda: "nosuch(v)", lambda: "mean()", lambda: "mean(v, v)", lambda: "mean(mean(v))", lambda: "max(time)", lambda: "percentile(v)", lambda: "top(v)", lambda: "derivative(v, 0s)",
                lambda: "derivative(mean(v), -1s)", lambda: "count(distinct(*))", lambda: "distinct(distinct(v))", lambda: "moving_average(v)", lambda: "percentile(v, 'x')", lambda: "abs('x')", lambda: "pow(v)", lambda: "abs()",
                lambda: "elapsed(v, 5)", lambda: "integral(v, 5)", lambda: "sum(v) + v", lambda: "max(max(v))", lambda: "bottom(v, 0)", lambda: "sample(v)", lambda: "DISTINCT v", lambda: "count(DISTINCT v)", lambda: "-v", lambda: "mean(v)::float", lambda: "(v)", lambda: "v = 1", lambda: "'x'", lambda: "true",
            ]
            for _ in range(rng.choice([1, 2, 2])):
                text = self.pick(pieces)()
                if not any(text.startswith(name) or f"({name}" in text for name in self.without):
                    select.fields.append(text)
            if not select.fields:
                select.fields.append("v")

    # SHOW.

    def show(self):
        data, rng = self.data, self.rng
        measurement = self.pick(data.schema)
        columns = Columns(data.fields(measurement), data.tags(measurement))
        tag = self.pick(columns.tags) if columns.tags else "nosuch"
        kind = self.weighted(MEASUREMENTS=2, SERIES=2, TAG_KEYS=2, TAG_VALUES=3, FIELD_KEYS=2, CARDINALITY=2, POLICIES=0.3, DATABASES=0.3)
        if kind == "DATABASES":
            return Text("SHOW DATABASES")
        on = f" ON {name_of(data.name)}" if self.chance(0.15) else ""
        if kind == "POLICIES":
            return Text(f"SHOW RETENTION POLICIES{on}")
        source = self.pick([name_of(measurement)] * 4 + ["/.*/", f"/^{measurement[:1]}/" if measurement[:1].isalnum() else "/a/", "nosuch", f"{name_of(measurement)}, /x/", f"{quoted(self.pick(sorted(data.policies[measurement])))}.{name_of(measurement)}" if kind != "CARDINALITY" else name_of(measurement)])
        from_ = f" FROM {source}" if self.chance(0.5) else ""
        where = ""
        if self.chance(0.35) and "show-where" not in self.without:
            where = " WHERE " + self.condition(Columns(columns.fields if self.chance(0.15) else {}, columns.tags) if columns.tags else Columns({}, {"nosuch": {"x": True}}), self.chance(0.4))
            if self.chance(0.1):
                where += f" AND time > {data.start}"
        limits = "".join(f" {word} {rng.choice([0, 1, 2, 3, 10])}" for word in ("LIMIT", "OFFSET") if self.chance(0.25))
        if kind == "MEASUREMENTS":
            if from_:
                from_ = " WITH MEASUREMENT " + (f"=~ {source}" if source.startswith("/") else f"= {name_of(measurement)}")
            return Text(f"SHOW MEASUREMENTS{on}{from_}{where}{limits}")
        if kind == "SERIES":
            return Text(f"SHOW SERIES{on}{from_}{where}{limits}")
        if kind == "TAG_KEYS":
            if self.chance(0.1) and "show-limits" not in self.without:
                limits += f" SLIMIT {rng.randint(1, 2)}"
            return Text(f"SHOW TAG KEYS{on}{from_}{where}{limits}")
        if kind == "FIELD_KEYS":
            return Text(f"SHOW FIELD KEYS{on}{from_}{limits}")
        keys = self.pick([f"= {name_of(tag)}", f"IN ({name_of(tag)}, nosuch)", f"=~ /{tag[:1] if tag[:1].isalnum() else '.'}/", "!= nosuch", "!~ /x/", "= nosuch"])
        if kind == "TAG_VALUES":
            return Text(f"SHOW TAG VALUES{on}{from_} WITH KEY {keys}{where}{limits}")
        what = self.pick(["MEASUREMENT", "SERIES", "TAG KEY", "FIELD KEY", "TAG VALUES"])
        exact = " EXACT" if what in ("MEASUREMENT", "SERIES") and self.chance(0.7) or what not in ("MEASUREMENT", "SERIES") and self.chance(0.5) else ""
        text = f"SHOW {what}{exact} CARDINALITY{on}"
        if exact or what not in ("MEASUREMENT", "SERIES"):
            text += from_
            if what == "TAG VALUES":
                text += f" WITH KEY {keys}"
            text += where
        elif what == "TAG VALUES":
            text += f" WITH KEY {keys}"
        return Text(text)
