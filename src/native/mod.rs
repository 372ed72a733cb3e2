//! The waist: the native HTTP API of v2 and v3, Arrow Flight's `DoGet` included. The only place that knows its paths, parameters, media
//! types and error bodies; rewrite, upstream and embedded all use it.

mod error;
mod flight;
mod grpc;
mod query;
mod rules;
mod uri;

pub use error::{ErrorBody, Operation, PARTIAL_WRITE, PHRASES, StatementError, decode_error};
pub use flight::{FLIGHT, FLIGHT_DO_GET, FlightData, FlightPiece, FlightTicket, flight_data};
pub use grpc::{GRPC, GRPC_PREFIX, GrpcStatus, grpc_message, grpc_prefix, grpc_refusal, grpc_trailers, is_grpc};
pub use query::QueryInfluxql;
pub use rules::{AuthErrors, RULES, Rule};
pub use uri::{precision, v2_query, v2_write_uri, v3_query_uri, v3_write_uri};

/// Which native API a service below the stack speaks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Api {
    /// `POST /api/v2/write`, `/query`
    V2,
    /// `POST /api/v3/write_lp`, `POST /api/v3/query_influxql`
    V3,
}

/// The form in which query replies come, known by configuration and never guessed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ReplyFormat {
    /// Arrow IPC stream in the layout of InfluxQL over Flight: column 0 is [`MEASUREMENT_COLUMN`], group-by tags are named in the schema
    /// metadata [`GROUP_KEY_METADATA`].
    Arrow,
    /// One JSON object a row; nulls are left out.
    Jsonl,
    /// v1's own JSON, passed through.
    V1Json,
    /// Arrow Flight: the same as [`Arrow`](Self::Arrow), asked for by [`FLIGHT_DO_GET`] and answered as a gRPC stream of [`FlightData`].
    Flight,
    /// [`Flight`](Self::Flight), and [`Jsonl`](Self::Jsonl) where the service below turns out to have none.
    FlightOrJsonl,
}

/// What the service below is and can.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Target {
    /// Its API.
    pub api: Api,
    /// Its replies.
    pub reply: ReplyFormat,
    /// One statement may read several buckets, written `"bucket".."measurement"` (the embedded store).
    pub multi_bucket: bool,
    /// It takes `SLIMIT`, `SHOW SERIES`, cardinalities and metadata without a look-back (the embedded store).
    pub full_influxql: bool,
}

/// Request extension: nobody knows whether the service below has what is asked for. That it fails says nothing about its health, and asking
/// again would be no use.
#[derive(Clone, Copy, Debug)]
pub struct Tentative;

/// v2: write line protocol. Parameters `org`, `bucket`, `precision`.
pub const V2_WRITE: &str = "/api/v2/write";
/// v2: InfluxQL, v1's own path. Parameters `db`, `rp`, `q`.
pub const V2_QUERY: &str = "/query";
/// v3: write line protocol. Parameters `db`, `precision`, `accept_partial`.
pub const V3_WRITE: &str = "/api/v3/write_lp";
/// v3: one InfluxQL statement. `POST` with a JSON object `db`, `q`, `format`, `params`.
pub const V3_QUERY_INFLUXQL: &str = "/api/v3/query_influxql";
/// v3: databases.
pub const V3_CONFIGURE_DATABASE: &str = "/api/v3/configure/database";

/// Media type of an Arrow IPC stream.
pub const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";
/// Value of `format` in the body of a v3 query that asks for an Arrow IPC stream (understood by the embedded store only).
pub const FORMAT_ARROW: &str = "arrow";
/// The first column of InfluxQL results: the measurement's name.
pub const MEASUREMENT_COLUMN: &str = "iox::measurement";
/// `SHOW STATS` and `SHOW DIAGNOSTICS` of the embedded store have one row a value, since 1.x's modules have columns of their own each: the
/// module's tags as a JSON object,
pub const MODULE_TAGS: &str = "tags";
/// the value's name,
pub const MODULE_KEY: &str = "key";
/// and the value, when it is a number,
pub const MODULE_NUMBER: &str = "number";
/// or when it is a text.
pub const MODULE_TEXT: &str = "text";
/// What stands in its place in the result of `EXPLAIN`.
pub const PLAN_COLUMN: &str = "plan_type";
/// Schema metadata: `{"tagKeyColumns":[{"tagKey":"host","columnIndex":2,"isProjected":false}]}`.
pub const GROUP_KEY_METADATA: &str = "iox::influxql::group_key::metadata";
/// Schema metadata of one column: what it is, for example [`COLUMN_TYPE_TAG`].
pub const COLUMN_TYPE_METADATA: &str = "iox::column::type";
/// A tag; a time is `iox::column_type::timestamp`, a field `iox::column_type::field::float`, `integer`, `uinteger`, `string` or `boolean`.
pub const COLUMN_TYPE_TAG: &str = "iox::column_type::tag";
