//! Canonical text of the tree: it parses to the same tree again, spans aside.

use std::fmt::{self, Display, Formatter, Write};

use super::ast::{
    Binary, BinaryOp, Call, Cast, CreateContinuousQuery, CreateDatabase, CreateSubscription, CreateUser, Dimension,
    DropSubscription, Explain, Expr, Field, Fill, Ident, KillQuery, Limits4, Literal, Measurement, MeasurementName, NamedOn,
    Number, OrderBy, Privilege, RegexLit, RetentionOptions, RetentionPolicySpec, Select, SeriesSelection, SetPassword, Show,
    ShowKind, Source, Statement, StatementKind, Target, Value, VarRef, WildcardKind, WithKey,
};
use super::duration::format_duration;
use super::token::Kind;

/// A name as it can stand in a query: in double quotes, with escapes, unless it is a plain word that is no keyword.
#[must_use]
pub fn quote_ident(name: &str) -> String {
    Name(name).to_string()
}

/// A string literal: in single quotes, with escapes.
#[must_use]
pub fn quote_string(text: &str) -> String {
    Text(text).to_string()
}

/// Segments as 1.x prints them in messages: all but the last in quotes.
pub(super) fn dotted(segments: &[&str]) -> String {
    let mut out = String::new();
    let last = segments.len().saturating_sub(1);
    for (i, segment) in segments.iter().enumerate() {
        if i > 0 {
            out.push('.');
        }
        let quoted = if segment.is_empty() { i == 0 || i == last } else { i < last };
        let result = if quoted { escaped(&mut out, segment, '"') } else { write!(out, "{}", Bare(segment)) };
        debug_assert!(result.is_ok(), "a string takes everything");
    }
    out
}

struct Name<'a>(&'a str);
struct Bare<'a>(&'a str);
struct Text<'a>(&'a str);

fn needs_quotes(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.is_empty()
        || name.starts_with(|first: char| first.is_ascii_digit())
        || !name.bytes().all(word)
        || Kind::keyword(name).is_some()
}

fn escaped(f: &mut impl Write, text: &str, quote: char) -> fmt::Result {
    f.write_char(quote)?;
    let mut rest = text;
    while let Some(at) = rest.find(['\n', '\\', quote]) {
        let (head, tail) = rest.split_at(at);
        f.write_str(head)?;
        let mut tail = tail.chars();
        match tail.next() {
            Some('\n') => f.write_str("\\n")?,
            Some(other) => {
                f.write_char('\\')?;
                f.write_char(other)?;
            }
            None => {}
        }
        rest = tail.as_str();
    }
    f.write_str(rest)?;
    f.write_char(quote)
}

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if needs_quotes(self.0) { escaped(f, self.0, '"') } else { f.write_str(self.0) }
    }
}

impl Display for Bare<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { Name(self.0).fmt(f) }
    }
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        escaped(f, self.0, '\'')
    }
}

impl Display for Ident {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Name(&self.name).fmt(f)
    }
}

impl Display for RegexLit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // A backslash right before the closing slash would escape that, even an escaped one: it is written by its code instead.
        let (pattern, end) = match self.pattern.strip_suffix("\\\\") {
            Some(rest) => (rest, "\\x5c"),
            None => (&*self.pattern, ""),
        };
        f.write_char('/')?;
        for (i, part) in pattern.split('/').enumerate() {
            if i > 0 {
                f.write_str("\\/")?;
            }
            f.write_str(part)?;
        }
        f.write_str(end)?;
        f.write_char('/')
    }
}

/// A list with something between its items.
fn list<T: Display>(f: &mut Formatter<'_>, items: &[T], between: &str) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

/// ` KEYWORD item`, when there is one.
fn clause<T: Display>(f: &mut Formatter<'_>, keyword: &str, item: Option<&T>) -> fmt::Result {
    match item {
        Some(item) => write!(f, " {keyword} {item}"),
        None => Ok(()),
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Duration(nanos) => f.write_str(&format_duration(*nanos)),
            Self::Float(value) => float(f, *value),
            Self::Integer(value) => value.fmt(f),
            Self::String(text) => Text(text).fmt(f),
            Self::Unsigned(value) => value.fmt(f),
        }
    }
}

/// A float with a point, without an exponent: InfluxQL has none.
fn float(f: &mut Formatter<'_>, value: f64) -> fmt::Result {
    if value.fract() == 0.0 { write!(f, "{value:.1}") } else { write!(f, "{value}") }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => float(f, *value),
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl Display for BinaryOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Display for Cast {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Display for VarRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        match self.cast {
            Some(cast) => write!(f, "::{cast}"),
            None => Ok(()),
        }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // A keyword that is a function's name too.
        if &*self.name.name == "distinct" {
            f.write_str("distinct")?
        } else {
            self.name.fmt(f)?
        }
        f.write_char('(')?;
        list(f, &self.args, ", ")?;
        f.write_char(')')
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary(binary) => binary.fmt(f),
            Self::Call(call) => call.fmt(f),
            Self::Distinct(name) => write!(f, "DISTINCT {name}"),
            Self::Literal(literal) => literal.fmt(f),
            Self::Paren(inner, _) => write!(f, "({inner})"),
            Self::Regex(regex) => regex.fmt(f),
            Self::VarRef(name) => name.fmt(f),
            Self::Wildcard(WildcardKind::All, _) => f.write_char('*'),
            Self::Wildcard(WildcardKind::Fields, _) => f.write_str("*::field"),
            Self::Wildcard(WildcardKind::Tags, _) => f.write_str("*::tag"),
        }
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        operand(f, &self.left, self.op.precedence())?;
        write!(f, " {} ", self.op)?;
        match (self.op, &self.right) {
            // Chains of these mean the same however they are grouped, and long ones are grouped as balanced trees.
            (BinaryOp::And | BinaryOp::Or, Expr::Binary(right)) if right.op == self.op => right.fmt(f),
            (_, right) => operand(f, right, self.op.precedence() + 1),
        }
    }
}

/// An operand, in parentheses when it binds less than `min`.
fn operand(f: &mut Formatter<'_>, expr: &Expr, min: u8) -> fmt::Result {
    let Expr::Binary(binary) = expr else { return expr.fmt(f) };
    if binary.op.precedence() >= min {
        return binary.fmt(f);
    }
    match signed(binary) {
        Some((sign, inner)) => write!(f, "{sign}{inner}"),
        None => write!(f, "({binary})"),
    }
}

/// A sign before something that isn't a number is a multiplication by 1 or -1 in the tree.
fn signed(binary: &Binary) -> Option<(char, &Expr)> {
    let (BinaryOp::Mul, Expr::Literal(factor)) = (binary.op, &binary.left) else { return None };
    if !matches!(binary.right, Expr::VarRef(_) | Expr::Call(_) | Expr::Paren(..)) {
        return None;
    }
    match factor.value {
        Value::Integer(1) => Some(('+', &binary.right)),
        Value::Integer(-1) => Some(('-', &binary.right)),
        _ => None,
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)?;
        clause(f, "AS", self.alias.as_ref())
    }
}

fn qualified(f: &mut Formatter<'_>, database: Option<&Ident>, retention_policy: Option<&Ident>) -> fmt::Result {
    match (database, retention_policy) {
        (Some(database), Some(policy)) => write!(f, "{database}.{policy}."),
        (Some(database), None) => write!(f, "{database}.."),
        (None, Some(policy)) => write!(f, "{policy}."),
        (None, None) => Ok(()),
    }
}

impl Display for Measurement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        qualified(f, self.database.as_ref(), self.retention_policy.as_ref())?;
        match &self.name {
            MeasurementName::Name(name) => name.fmt(f),
            MeasurementName::Regex(regex) => regex.fmt(f),
        }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        qualified(f, self.database.as_ref(), self.retention_policy.as_ref())?;
        match &self.name {
            Some(name) => name.fmt(f),
            None => f.write_str(":MEASUREMENT"),
        }
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measurement(measurement) => measurement.fmt(f),
            Self::Subquery(select) => write!(f, "({select})"),
        }
    }
}

impl Display for Dimension {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time { interval, offset, .. } => {
                write!(f, "time({}", format_duration(*interval))?;
                if let Some(offset) = offset {
                    write!(f, ", {offset}")?;
                }
                f.write_char(')')
            }
            Self::Tag(name) => name.fmt(f),
            Self::Wildcard(_) => f.write_char('*'),
            Self::Regex(regex) => regex.fmt(f),
        }
    }
}

impl Display for Fill {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => Ok(()),
            Self::Null => f.write_str("fill(null)"),
            Self::None => f.write_str("fill(none)"),
            Self::Previous => f.write_str("fill(previous)"),
            Self::Linear => f.write_str("fill(linear)"),
            Self::Number(number) => write!(f, "fill({number})"),
        }
    }
}

impl Display for OrderBy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.descending { "ORDER BY time DESC" } else { "ORDER BY time ASC" })
    }
}

impl Display for Limits4 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let all = [("LIMIT", self.limit), ("OFFSET", self.offset), ("SLIMIT", self.slimit), ("SOFFSET", self.soffset)];
        let mut between = "";
        for (keyword, n) in all {
            if let Some(n) = n {
                write!(f, "{between}{keyword} {n}")?;
                between = " ";
            }
        }
        Ok(())
    }
}

/// `WHERE`, `GROUP BY`, `fill`, `ORDER BY`, `LIMIT` …
fn tail(
    f: &mut Formatter<'_>,
    condition: Option<&Expr>,
    group_by: &[Dimension],
    fill: Fill,
    order_by: Option<OrderBy>,
    limits: Limits4,
) -> fmt::Result {
    clause(f, "WHERE", condition)?;
    if !group_by.is_empty() {
        f.write_str(" GROUP BY ")?;
        list(f, group_by, ", ")?;
    }
    if fill != Fill::Default {
        write!(f, " {fill}")?;
    }
    if let Some(order) = order_by {
        write!(f, " {order}")?;
    }
    if limits != Limits4::default() {
        write!(f, " {limits}")?;
    }
    Ok(())
}

impl Display for Select {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT ")?;
        list(f, &self.fields, ", ")?;
        clause(f, "INTO", self.into.as_ref())?;
        f.write_str(" FROM ")?;
        list(f, &self.from, ", ")?;
        tail(f, self.condition.as_ref(), &self.group_by, self.fill, self.order_by, self.limits)?;
        match &self.timezone {
            Some(zone) => write!(f, " TZ({})", Text(&zone.name)),
            None => Ok(()),
        }
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Display for StatementKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlterRetentionPolicy(spec) => write!(f, "ALTER {spec}"),
            Self::CreateContinuousQuery(query) => query.fmt(f),
            Self::CreateDatabase(create) => create.fmt(f),
            Self::CreateRetentionPolicy(spec) => write!(f, "CREATE {spec}"),
            Self::CreateSubscription(create) => create.fmt(f),
            Self::CreateUser(create) => create.fmt(f),
            Self::Delete(selection) => write!(f, "DELETE{selection}"),
            Self::DropContinuousQuery(named) => write!(f, "DROP CONTINUOUS QUERY {named}"),
            Self::DropDatabase(name) => write!(f, "DROP DATABASE {name}"),
            Self::DropMeasurement(name) => write!(f, "DROP MEASUREMENT {name}"),
            Self::DropRetentionPolicy(named) => write!(f, "DROP RETENTION POLICY {named}"),
            Self::DropSeries(selection) => write!(f, "DROP SERIES{selection}"),
            Self::DropShard(id) => write!(f, "DROP SHARD {id}"),
            Self::DropSubscription(drop) => drop.fmt(f),
            Self::DropUser(name) => write!(f, "DROP USER {name}"),
            Self::Explain(explain) => explain.fmt(f),
            Self::Grant(grant) => {
                write!(f, "GRANT {}", grant.privilege)?;
                clause(f, "ON", grant.database.as_ref())?;
                write!(f, " TO {}", grant.user)
            }
            Self::KillQuery(kill) => kill.fmt(f),
            Self::Revoke(grant) => {
                write!(f, "REVOKE {}", grant.privilege)?;
                clause(f, "ON", grant.database.as_ref())?;
                write!(f, " FROM {}", grant.user)
            }
            Self::Select(select) => select.fmt(f),
            Self::SetPassword(set) => set.fmt(f),
            Self::Show(show) => show.fmt(f),
        }
    }
}

impl Display for Explain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let analyze = if self.analyze { "ANALYZE " } else { "" };
        write!(f, "EXPLAIN {analyze}{}", self.select)
    }
}

impl Display for SeriesSelection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.from.is_empty() {
            f.write_str(" FROM ")?;
            list(f, &self.from, ", ")?;
        }
        clause(f, "WHERE", self.condition.as_ref())
    }
}

impl Display for NamedOn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ON {}", self.name, self.database)
    }
}

/// A duration, or `INF`.
struct Retention(i64);

impl Display for Retention {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("INF") } else { f.write_str(&format_duration(self.0)) }
    }
}

impl RetentionOptions {
    /// Its parts, `DEFAULT` between them where the grammar wants it.
    fn print(&self, f: &mut Formatter<'_>, default: bool) -> fmt::Result {
        if let Some(duration) = self.duration {
            write!(f, " DURATION {}", Retention(duration))?;
        }
        if let Some(n) = self.replication {
            write!(f, " REPLICATION {n}")?;
        }
        if let Some(duration) = self.shard_duration {
            // Not `INF`, which isn't allowed everywhere here.
            write!(f, " SHARD DURATION {}", format_duration(duration))?;
        }
        if default {
            f.write_str(" DEFAULT")?;
        }
        if let Some(limit) = self.future_limit {
            write!(f, " FUTURE LIMIT {}", Retention(limit))?;
        }
        if let Some(limit) = self.past_limit {
            write!(f, " PAST LIMIT {}", Retention(limit))?;
        }
        Ok(())
    }
}

impl Display for CreateDatabase {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE DATABASE {}", self.name)?;
        if let Some(with) = &self.with {
            f.write_str(" WITH")?;
            with.print(f, false)?;
            clause(f, "NAME", self.retention_policy.as_ref())?;
        }
        Ok(())
    }
}

impl Display for RetentionPolicySpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "RETENTION POLICY {} ON {}", self.name, self.database)?;
        self.options.print(f, self.default)
    }
}

impl Display for CreateSubscription {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mode = if self.all { "ALL" } else { "ANY" };
        write!(f, "CREATE SUBSCRIPTION {} ON {}.{} DESTINATIONS {mode} ", self.name, self.database, self.retention_policy)?;
        for (i, destination) in self.destinations.iter().enumerate() {
            write!(f, "{}{}", if i > 0 { ", " } else { "" }, Text(destination))?;
        }
        Ok(())
    }
}

impl Display for DropSubscription {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "DROP SUBSCRIPTION {} ON {}.{}", self.name, self.database, self.retention_policy)
    }
}

impl Display for CreateUser {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE USER {} WITH PASSWORD [REDACTED]", self.name)?;
        if self.admin { f.write_str(" WITH ALL PRIVILEGES") } else { Ok(()) }
    }
}

impl Display for SetPassword {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "SET PASSWORD FOR {} = [REDACTED]", self.name)
    }
}

impl Display for Privilege {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "ALL PRIVILEGES",
            Self::Read => "READ",
            Self::Write => "WRITE",
        })
    }
}

impl Display for KillQuery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "KILL QUERY {}", self.id)?;
        clause(f, "ON", self.host.as_ref())
    }
}

impl Display for CreateContinuousQuery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE CONTINUOUS QUERY {} ON {}", self.name, self.database)?;
        if self.every.is_some() || self.resample_for.is_some() {
            f.write_str(" RESAMPLE")?;
        }
        if let Some(every) = self.every {
            write!(f, " EVERY {}", format_duration(every))?;
        }
        if let Some(window) = self.resample_for {
            write!(f, " FOR {}", format_duration(window))?;
        }
        write!(f, " BEGIN {} END", self.select)
    }
}

impl Display for ShowKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let cardinality =
            |f: &mut Formatter<'_>, of: &str, exact: &bool| write!(f, "{of} {}CARDINALITY", if *exact { "EXACT " } else { "" });
        let module = |f: &mut Formatter<'_>, of: &str, module: &Option<Box<str>>| match module {
            Some(module) => write!(f, "{of} FOR {}", Text(module)),
            None => f.write_str(of),
        };
        match self {
            Self::ContinuousQueries => f.write_str("CONTINUOUS QUERIES"),
            Self::Databases => f.write_str("DATABASES"),
            Self::Diagnostics(name) => module(f, "DIAGNOSTICS", name),
            Self::FieldKeyCardinality { exact } => cardinality(f, "FIELD KEY", exact),
            Self::FieldKeys => f.write_str("FIELD KEYS"),
            Self::Grants(user) => write!(f, "GRANTS FOR {user}"),
            Self::MeasurementCardinality { exact } => cardinality(f, "MEASUREMENT", exact),
            Self::Measurements => f.write_str("MEASUREMENTS"),
            Self::Queries => f.write_str("QUERIES"),
            Self::RetentionPolicies => f.write_str("RETENTION POLICIES"),
            Self::Series => f.write_str("SERIES"),
            Self::SeriesCardinality { exact } => cardinality(f, "SERIES", exact),
            Self::ShardGroups => f.write_str("SHARD GROUPS"),
            Self::Shards => f.write_str("SHARDS"),
            Self::Stats(name) => module(f, "STATS", name),
            Self::Subscriptions => f.write_str("SUBSCRIPTIONS"),
            Self::TagKeyCardinality { exact } => cardinality(f, "TAG KEY", exact),
            Self::TagKeys => f.write_str("TAG KEYS"),
            Self::TagValues => f.write_str("TAG VALUES"),
            Self::TagValuesCardinality { exact } => cardinality(f, "TAG VALUES", exact),
            Self::Users => f.write_str("USERS"),
        }
    }
}

impl Display for Show {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "SHOW {}", self.kind)?;
        match (&self.database, self.on_all.databases) {
            (Some(database), _) => write!(f, " ON {database}")?,
            (None, true) => f.write_str(" ON *")?,
            (None, false) => {}
        }
        match (&self.retention_policy, self.on_all.retention_policies) {
            (Some(policy), _) => write!(f, ".{policy}")?,
            (None, true) => f.write_str(".*")?,
            (None, false) => {}
        }
        if let Some(measurement) = &self.with_measurement {
            let op = if matches!(measurement.name, MeasurementName::Regex(_)) { "=~" } else { "=" };
            write!(f, " WITH MEASUREMENT {op} {measurement}")?;
        }
        if !self.from.is_empty() {
            f.write_str(" FROM ")?;
            list(f, &self.from, ", ")?;
        }
        if let Some(key) = &self.with_key {
            write!(f, " WITH KEY {key}")?;
        }
        tail(f, self.condition.as_ref(), &self.group_by, Fill::Default, self.order_by, self.limits)
    }
}

impl Display for WithKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eq(key) => write!(f, "= {key}"),
            Self::NotEq(key) => write!(f, "!= {key}"),
            Self::Regex(regex) => write!(f, "=~ {regex}"),
            Self::NotRegex(regex) => write!(f, "!~ {regex}"),
            Self::In(keys) => {
                f.write_str("IN (")?;
                list(f, keys, ", ")?;
                f.write_char(')')
            }
        }
    }
}
