"""A Flight server that does what the query says, and remembers what it was asked."""

import json
import threading

import pyarrow as pa
from pyarrow import flight

WORDS = "table 'nosuch' not found: é"


def types():
    schema = pa.schema(
        [
            pa.field("iox::measurement", pa.dictionary(pa.int32(), pa.string()), nullable=False),
            pa.field("time", pa.timestamp("ns"), nullable=False, metadata={"iox::column::type": "iox::column_type::timestamp"}),
            pa.field("f", pa.float64()),
            pa.field("i", pa.int64()),
            pa.field("u", pa.uint64()),
            pa.field("b", pa.bool_()),
            pa.field("s", pa.string()),
            pa.field("n", pa.null()),
        ],
        metadata={"iox::influxql::group_key::metadata": '{"measurement_column_index":0,"tag_key_columns":[]}'},
    )
    columns = [
        pa.array(["home", "home", "home"]).dictionary_encode(),
        pa.array([0, 1682358973123456789, 2**63 - 1], pa.timestamp("ns")),
        pa.array([1.5, None, float("-inf")]),
        pa.array([-(2**63), 0, None], pa.int64()),
        pa.array([2**64 - 1, None, 0], pa.uint64()),
        pa.array([True, False, None]),
        pa.array(["", 'say "hi" ü', None]),
        pa.nulls(3),
    ]
    return pa.table(columns, schema=schema)


class Headers(flight.ServerMiddlewareFactory):
    def start_call(self, info, headers):
        return Seen(dict(headers))


class Seen(flight.ServerMiddleware):
    def __init__(self, headers):
        self.headers = headers


class Server(flight.FlightServerBase):
    def __init__(self, port=0):
        super().__init__(f"grpc://127.0.0.1:{port}", middleware={"seen": Headers()})
        self.types = types()
        #: The ticket and the headers of each query, in order.
        self.seen = []
        #: `waiting` goes on when it is set.
        self.release = threading.Event()
        #: `endless` was given up.
        self.cancelled = threading.Event()
        #: Batches of `endless`.
        self.made = 0

    def do_get(self, context, ticket):
        asked = json.loads(ticket.ticket)
        self.seen.append((asked, context.get_middleware("seen").headers))
        word, *rest = asked["sql_query"].split()
        if word in ("types", "SELECT"):
            return flight.RecordBatchStream(self.types)
        if word == "error":
            raise {
                "invalid": pa.ArrowInvalid,
                "internal": flight.FlightInternalError,
                "unavailable": flight.FlightUnavailableError,
                "unauthenticated": flight.FlightUnauthenticatedError,
                "unauthorized": flight.FlightUnauthorizedError,
                "missing": KeyError,
            }[rest[0]](WORDS)
        if word == "wide":
            return flight.RecordBatchStream(pa.table({"s": ["x" * int(rest[0])]}))
        schema = pa.schema([("n", pa.int64())])
        batches = {"rows": self.rows, "late": self.late, "waiting": self.waiting, "endless": self.endless}[word]
        return flight.GeneratorStream(schema, batches(context, *rest))

    @staticmethod
    def batch(numbers):
        return pa.record_batch([pa.array(numbers, pa.int64())], names=["n"])

    def rows(self, _context, count):
        for start in range(0, int(count), 8192):
            yield self.batch(range(start, min(start + 8192, int(count))))

    def late(self, _context):
        for number in range(3):
            yield self.batch([number])
        raise flight.FlightInternalError("gave up after 3 batches")

    def waiting(self, _context):
        yield self.batch([0])
        self.release.wait(30)
        yield self.batch([1])

    def endless(self, context):
        self.made = 0
        try:
            while not context.is_cancelled():
                self.made += 1
                yield self.batch(range(8192))
        finally:
            self.cancelled.set()

    def do_put(self, context, descriptor, reader, writer):
        rows = sum(chunk.data.num_rows for chunk in reader)
        writer.write(json.dumps({"rows": rows}).encode())

    def do_exchange(self, context, descriptor, reader, writer):
        writer.begin(reader.schema)
        for chunk in reader:
            writer.write_batch(chunk.data)

    def do_action(self, context, action):
        yield flight.Result(action.body)

    def info(self):
        endpoint = flight.FlightEndpoint(json.dumps({"sql_query": "types"}), [])
        descriptor = flight.FlightDescriptor.for_command(b"types")
        return flight.FlightInfo(self.types.schema, descriptor, [endpoint], self.types.num_rows, -1)

    def list_flights(self, context, criteria):
        yield self.info()

    def get_flight_info(self, context, descriptor):
        return self.info()
