//! The tree of an InfluxQL statement: faithful to the text, owned, every node with its [`Span`].
//!
//! The grammar is that of InfluxDB 1.8, <https://docs.influxdata.com/influxdb/v1/query_language/spec/>.
//! Bind parameters are resolved while parsing, as 1.x does, so the tree holds literals only. Equality of two nodes includes
//! their spans.

use super::Span;

/// A name, without its quotes and escapes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ident {
    /// The name itself.
    pub name: Box<str>,
    /// Where it stands, quotes included.
    pub span: Span,
}

/// A regular expression literal, in Go's (RE2) syntax.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegexLit {
    /// The pattern between the slashes, `\/` already turned into `/`.
    pub pattern: Box<str>,
    /// Where it stands, slashes included.
    pub span: Span,
}

/// One statement of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What it asks for.
    pub kind: StatementKind,
    /// Where it stands, without the semicolon.
    pub span: Span,
}

/// Every kind of statement that InfluxQL 1.x has.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StatementKind {
    /// `ALTER RETENTION POLICY`
    AlterRetentionPolicy(RetentionPolicySpec),
    /// `CREATE CONTINUOUS QUERY`
    CreateContinuousQuery(Box<CreateContinuousQuery>),
    /// `CREATE DATABASE`
    CreateDatabase(CreateDatabase),
    /// `CREATE RETENTION POLICY`
    CreateRetentionPolicy(RetentionPolicySpec),
    /// `CREATE SUBSCRIPTION`
    CreateSubscription(CreateSubscription),
    /// `CREATE USER`
    CreateUser(CreateUser),
    /// `DELETE`
    Delete(SeriesSelection),
    /// `DROP CONTINUOUS QUERY name ON db`
    DropContinuousQuery(NamedOn),
    /// `DROP DATABASE`
    DropDatabase(Ident),
    /// `DROP MEASUREMENT`
    DropMeasurement(Ident),
    /// `DROP RETENTION POLICY name ON db`
    DropRetentionPolicy(NamedOn),
    /// `DROP SERIES`
    DropSeries(SeriesSelection),
    /// `DROP SHARD n`
    DropShard(u64),
    /// `DROP SUBSCRIPTION name ON db.rp`
    DropSubscription(DropSubscription),
    /// `DROP USER`
    DropUser(Ident),
    /// `EXPLAIN [ANALYZE] SELECT …`
    Explain(Box<Explain>),
    /// `GRANT privilege ON db TO user`, `GRANT ALL [PRIVILEGES] TO user`
    Grant(Grant),
    /// `KILL QUERY n [ON "host"]`
    KillQuery(KillQuery),
    /// `REVOKE privilege ON db FROM user`, `REVOKE ALL [PRIVILEGES] FROM user`
    Revoke(Grant),
    /// `SELECT`
    Select(Box<Select>),
    /// `SET PASSWORD FOR user = 'password'`
    SetPassword(SetPassword),
    /// Any `SHOW` statement.
    Show(Box<Show>),
}

/// `SELECT fields [INTO target] FROM sources [WHERE …] [GROUP BY …] [ORDER BY …] [LIMIT …] … [tz('…')]`
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// What is selected, in order.
    pub fields: Vec<Field>,
    /// Where results are written.
    pub into: Option<Target>,
    /// Where points come from; never empty.
    pub from: Vec<Source>,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `GROUP BY`
    pub group_by: Vec<Dimension>,
    /// `fill(…)`
    pub fill: Fill,
    /// `ORDER BY`
    pub order_by: Option<OrderBy>,
    /// `LIMIT`, `OFFSET`, `SLIMIT`, `SOFFSET`
    pub limits: Limits4,
    /// `tz('…')`: the name as given.
    pub timezone: Option<Ident>,
    /// Where it stands.
    pub span: Span,
}

/// `LIMIT`, `OFFSET`, `SLIMIT` and `SOFFSET`, each absent when it isn't in the text. Zero means "no limit" in 1.x.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits4 {
    /// Points per series.
    pub limit: Option<u64>,
    /// Points skipped per series.
    pub offset: Option<u64>,
    /// Series.
    pub slimit: Option<u64>,
    /// Series skipped.
    pub soffset: Option<u64>,
}

/// One selected column.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its value.
    pub expr: Expr,
    /// `AS alias`
    pub alias: Option<Ident>,
    /// Where it stands.
    pub span: Span,
}

/// The measurement that `INTO` names.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Database and retention policy as given.
    pub database: Option<Ident>,
    /// Retention policy as given.
    pub retention_policy: Option<Ident>,
    /// The measurement; absent for `:MEASUREMENT`, each result's own.
    pub name: Option<Ident>,
    /// Where it stands.
    pub span: Span,
}

/// One item of `FROM`.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A measurement or a regular expression over measurement names.
    Measurement(Measurement),
    /// A subquery in parentheses.
    Subquery(Box<Select>),
}

/// `[[db.]rp.]name`, `db..name`, or the same with a regular expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The database, when named.
    pub database: Option<Ident>,
    /// The retention policy, when named; absent in `db..name`.
    pub retention_policy: Option<Ident>,
    /// Name or pattern.
    pub name: MeasurementName,
    /// Where it stands.
    pub span: Span,
}

/// How a measurement is named.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MeasurementName {
    /// By its name.
    Name(Ident),
    /// All whose name matches.
    Regex(RegexLit),
}

/// One item of `GROUP BY`.
#[derive(Clone, Debug, PartialEq)]
pub enum Dimension {
    /// `time(interval [, offset])`; the offset is a duration, or a time (`now()`, a string) whose remainder counts.
    Time {
        /// Window width in nanoseconds.
        interval: i64,
        /// Second argument as written.
        offset: Option<Expr>,
        /// Where it stands.
        span: Span,
    },
    /// A tag.
    Tag(Ident),
    /// `*`
    Wildcard(Span),
    /// All tags that match.
    Regex(RegexLit),
}

/// What empty windows get.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Fill {
    /// Nothing was said: `null`.
    #[default]
    Default,
    /// `fill(null)`
    Null,
    /// `fill(none)`
    None,
    /// `fill(previous)`
    Previous,
    /// `fill(linear)`
    Linear,
    /// `fill(number)`
    Number(Number),
}

/// A number as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Without a decimal point.
    Integer(i64),
    /// With one.
    Float(f64),
}

/// `ORDER BY [time] [ASC | DESC]`: 1.x sorts by time only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OrderBy {
    /// `DESC`
    pub descending: bool,
    /// Where it stands.
    pub span: Span,
}

/// An expression, of `SELECT`, `WHERE` or an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `left op right`
    Binary(Box<Binary>),
    /// `name(args)`
    Call(Call),
    /// `DISTINCT field`
    Distinct(Ident),
    /// A literal value.
    Literal(Literal),
    /// `( … )`
    Paren(Box<Self>, Span),
    /// A regular expression, as an operand of `=~` and `!~` or as a selection of fields.
    Regex(RegexLit),
    /// A field, a tag or `time`.
    VarRef(VarRef),
    /// `*`, `*::field`, `*::tag`
    Wildcard(WildcardKind, Span),
}

/// A binary expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Left operand.
    pub left: Expr,
    /// Right operand.
    pub right: Expr,
}

/// Operators, by rising precedence: `OR`; `AND`; comparisons; `+ - | ^`; `* / % &`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BinaryOp {
    /// `OR`
    Or,
    /// `AND`
    And,
    /// `=`
    Eq,
    /// `!=`, `<>`
    NotEq,
    /// `=~`
    EqRegex,
    /// `!~`
    NotEqRegex,
    /// `<`
    Lt,
    /// `<=`
    LtEq,
    /// `>`
    Gt,
    /// `>=`
    GtEq,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `|`
    BitOr,
    /// `^`
    BitXor,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `&`
    BitAnd,
}

/// A function call. Names of functions are case-insensitive; here they are in lower case.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function.
    pub name: Ident,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// Where it stands.
    pub span: Span,
}

/// A literal with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub span: Span,
}

/// A literal's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true`, `false`
    Boolean(bool),
    /// Nanoseconds.
    Duration(i64),
    /// With a decimal point.
    Float(f64),
    /// Without one.
    Integer(i64),
    /// In single quotes; also times, which get their meaning from what they are compared with.
    String(Box<str>),
    /// An integer beyond `i64`.
    Unsigned(u64),
}

/// A reference to a field, a tag or `time`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VarRef {
    /// Its name, dots included (`a.b` is one name in 1.x).
    pub name: Ident,
    /// `::type`
    pub cast: Option<Cast>,
}

/// What may stand behind `::`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Cast {
    /// `::boolean`
    Boolean,
    /// `::field`: whichever field it is.
    Field,
    /// `::float`
    Float,
    /// `::integer`
    Integer,
    /// `::string`
    String,
    /// `::tag`
    Tag,
    /// `::unsigned`
    Unsigned,
}

/// What a wildcard stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WildcardKind {
    /// `*`
    All,
    /// `*::field`
    Fields,
    /// `*::tag`
    Tags,
}

/// `EXPLAIN [ANALYZE] SELECT …`
#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    /// `ANALYZE`
    pub analyze: bool,
    /// What is explained.
    pub select: Select,
}

/// `FROM sources WHERE …` of `DELETE` and `DROP SERIES`; at least one of the two is there.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesSelection {
    /// Measurements; without database for `DELETE` and `DROP SERIES` of 1.x.
    pub from: Vec<Measurement>,
    /// `WHERE`
    pub condition: Option<Expr>,
}

/// `name ON db`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamedOn {
    /// The thing.
    pub name: Ident,
    /// Its database.
    pub database: Ident,
}

/// `CREATE DATABASE name [WITH [DURATION d] [REPLICATION n] [SHARD DURATION d] [FUTURE LIMIT d] [PAST LIMIT d] [NAME rp]]`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateDatabase {
    /// The database.
    pub name: Ident,
    /// `WITH …`: present when the keyword is.
    pub with: Option<RetentionOptions>,
    /// `NAME rp` in `WITH`.
    pub retention_policy: Option<Ident>,
}

/// `RETENTION POLICY name ON db DURATION … [DEFAULT]`, of `CREATE` and of `ALTER`.
#[derive(Clone, Debug, PartialEq)]
pub struct RetentionPolicySpec {
    /// The policy.
    pub name: Ident,
    /// Its database.
    pub database: Ident,
    /// What is set; `CREATE` always has duration and replication.
    pub options: RetentionOptions,
    /// `DEFAULT`
    pub default: bool,
}

/// The settings of a retention policy, each absent when it isn't in the text. Durations in nanoseconds, 0 = `INF`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RetentionOptions {
    /// `DURATION`
    pub duration: Option<i64>,
    /// `REPLICATION`
    pub replication: Option<u64>,
    /// `SHARD DURATION`
    pub shard_duration: Option<i64>,
    /// `FUTURE LIMIT` (1.12)
    pub future_limit: Option<i64>,
    /// `PAST LIMIT` (1.12)
    pub past_limit: Option<i64>,
}

/// `CREATE SUBSCRIPTION name ON db.rp DESTINATIONS ALL|ANY 'url', …`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateSubscription {
    /// The subscription.
    pub name: Ident,
    /// Its database.
    pub database: Ident,
    /// Its retention policy.
    pub retention_policy: Ident,
    /// `ALL`, else `ANY`.
    pub all: bool,
    /// URLs.
    pub destinations: Vec<Box<str>>,
}

/// `DROP SUBSCRIPTION name ON db.rp`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DropSubscription {
    /// The subscription.
    pub name: Ident,
    /// Its database.
    pub database: Ident,
    /// Its retention policy.
    pub retention_policy: Ident,
}

/// `CREATE USER name WITH PASSWORD '…' [WITH ALL PRIVILEGES]`; its `Debug` and its printed form hide the password.
#[derive(Clone, PartialEq)]
pub struct CreateUser {
    /// The user.
    pub name: Ident,
    /// The password.
    pub password: Box<str>,
    /// `WITH ALL PRIVILEGES`
    pub admin: bool,
}

/// `SET PASSWORD FOR name = '…'`; its `Debug` and its printed form hide the password.
#[derive(Clone, PartialEq)]
pub struct SetPassword {
    /// The user.
    pub name: Ident,
    /// The password.
    pub password: Box<str>,
}

impl std::fmt::Debug for CreateUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreateUser").field("name", &self.name).field("admin", &self.admin).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SetPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetPassword").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A privilege on a database, or all of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// What is granted or revoked.
    pub privilege: Privilege,
    /// The database; absent for administrators.
    pub database: Option<Ident>,
    /// The user.
    pub user: Ident,
}

/// `READ`, `WRITE`, `ALL [PRIVILEGES]`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Privilege {
    /// `ALL [PRIVILEGES]`
    All,
    /// `READ`
    Read,
    /// `WRITE`
    Write,
}

/// `KILL QUERY id [ON "host"]`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KillQuery {
    /// The query.
    pub id: u64,
    /// The server.
    pub host: Option<Ident>,
}

/// `CREATE CONTINUOUS QUERY name ON db [RESAMPLE [EVERY d] [FOR d]] BEGIN select END`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateContinuousQuery {
    /// The continuous query.
    pub name: Ident,
    /// Its database.
    pub database: Ident,
    /// `EVERY`, in nanoseconds.
    pub every: Option<i64>,
    /// `FOR`, in nanoseconds.
    pub resample_for: Option<i64>,
    /// What is run; it has an `INTO`.
    pub select: Select,
}

/// A `SHOW` statement: what is shown, and every clause that any of them takes. The parser accepts a clause only where 1.x does.
#[derive(Clone, Debug, PartialEq)]
pub struct Show {
    /// What is shown.
    pub kind: ShowKind,
    /// `ON db`
    pub database: Option<Ident>,
    /// `ON db.rp` (1.8.x: `SHOW MEASUREMENTS ON db.rp`)
    pub retention_policy: Option<Ident>,
    /// `ON *` and `ON *.*` of `SHOW MEASUREMENTS`
    pub on_all: OnAll,
    /// `WITH MEASUREMENT = name | =~ /re/` of `SHOW MEASUREMENTS`
    pub with_measurement: Option<Measurement>,
    /// `FROM`
    pub from: Vec<Source>,
    /// `WITH KEY …`
    pub with_key: Option<WithKey>,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `GROUP BY` of the cardinality statements
    pub group_by: Vec<Dimension>,
    /// `ORDER BY`
    pub order_by: Option<OrderBy>,
    /// `LIMIT`, `OFFSET`, `SLIMIT`, `SOFFSET`
    pub limits: Limits4,
}

/// Wildcards behind `SHOW MEASUREMENTS ON` (1.8.10).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OnAll {
    /// `ON *`
    pub databases: bool,
    /// `ON db.*`
    pub retention_policies: bool,
}

/// What a `SHOW` statement shows. `exact` is the keyword `EXACT` of the cardinality statements.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ShowKind {
    /// `CONTINUOUS QUERIES`
    ContinuousQueries,
    /// `DATABASES`
    Databases,
    /// `DIAGNOSTICS [FOR 'module']`
    Diagnostics(Option<Box<str>>),
    /// `FIELD KEY [EXACT] CARDINALITY`
    FieldKeyCardinality {
        /// `EXACT`
        exact: bool,
    },
    /// `FIELD KEYS`
    FieldKeys,
    /// `GRANTS FOR user`
    Grants(Ident),
    /// `MEASUREMENT [EXACT] CARDINALITY`
    MeasurementCardinality {
        /// `EXACT`
        exact: bool,
    },
    /// `MEASUREMENTS`
    Measurements,
    /// `QUERIES`
    Queries,
    /// `RETENTION POLICIES`
    RetentionPolicies,
    /// `SERIES`
    Series,
    /// `SERIES [EXACT] CARDINALITY`
    SeriesCardinality {
        /// `EXACT`
        exact: bool,
    },
    /// `SHARD GROUPS`
    ShardGroups,
    /// `SHARDS`
    Shards,
    /// `STATS [FOR 'module']`
    Stats(Option<Box<str>>),
    /// `SUBSCRIPTIONS`
    Subscriptions,
    /// `TAG KEY [EXACT] CARDINALITY`
    TagKeyCardinality {
        /// `EXACT`
        exact: bool,
    },
    /// `TAG KEYS`
    TagKeys,
    /// `TAG VALUES`
    TagValues,
    /// `TAG VALUES [EXACT] CARDINALITY`
    TagValuesCardinality {
        /// `EXACT`
        exact: bool,
    },
    /// `USERS`
    Users,
}

/// `WITH KEY = k | != k | =~ /re/ | !~ /re/ | IN (k, …)`
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WithKey {
    /// `= k`
    Eq(Ident),
    /// `IN (k, …)`
    In(Vec<Ident>),
    /// `!= k`
    NotEq(Ident),
    /// `!~ /re/`
    NotRegex(RegexLit),
    /// `=~ /re/`
    Regex(RegexLit),
}

impl BinaryOp {
    /// How it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Or => "OR",
            Self::And => "AND",
            Self::Eq => "=",
            Self::NotEq => "!=",
            Self::EqRegex => "=~",
            Self::NotEqRegex => "!~",
            Self::Lt => "<",
            Self::LtEq => "<=",
            Self::Gt => ">",
            Self::GtEq => ">=",
            Self::Add => "+",
            Self::Sub => "-",
            Self::BitOr => "|",
            Self::BitXor => "^",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::BitAnd => "&",
        }
    }

    /// How strongly it binds, 1 (`OR`) to 5 (`*`). All operators group from the left.
    #[must_use]
    pub const fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Eq | Self::NotEq | Self::EqRegex | Self::NotEqRegex | Self::Lt | Self::LtEq | Self::Gt | Self::GtEq => 3,
            Self::Add | Self::Sub | Self::BitOr | Self::BitXor => 4,
            Self::Mul | Self::Div | Self::Mod | Self::BitAnd => 5,
        }
    }
}

impl Cast {
    /// How it is written behind `::`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Field => "field",
            Self::Float => "float",
            Self::Integer => "integer",
            Self::String => "string",
            Self::Tag => "tag",
            Self::Unsigned => "unsigned",
        }
    }
}

impl Expr {
    /// Where it stands. A cast isn't part of a reference's span.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Binary(binary) => binary.left.span().to(binary.right.span()),
            Self::Call(call) => call.span,
            Self::Distinct(name) => name.span,
            Self::Literal(literal) => literal.span,
            Self::Paren(_, span) | Self::Wildcard(_, span) => *span,
            Self::Regex(regex) => regex.span,
            Self::VarRef(name) => name.name.span,
        }
    }
}
