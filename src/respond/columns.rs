//! Names and order of a statement's columns, where a reply doesn't tell: pure functions of the statement and of what is stored.
//!
//! The rules are 1.x's: names that come from expressions get `_1`, `_2`… when they are taken, aliases first; `*` stands for all fields and
//! tags in the order of their names, but for tags that are grouped by; a wildcard in a call is one call a field that it can take.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use regex::Regex;

use crate::{
    error::Error,
    influxql::ast::{
        BinaryOp, Call, Cast, Dimension, Expr, Measurement, MeasurementName, Select, Show, ShowKind, Source, Statement,
        StatementKind, Value, WildcardKind,
    },
    lineprotocol::FieldType,
};

/// What rows of a reply have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Columns {
    /// Keys of the tags that are grouped by, sorted.
    pub(crate) tags: Vec<Box<str>>,
    /// Names of the columns.
    pub(crate) columns: Vec<Box<str>>,
    /// The first column is the time.
    pub(crate) has_time: bool,
}

/// Fields and tags of measurements.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct FieldsAndTags(BTreeMap<Box<str>, Known>);

/// Fields and tags that can be selected from something.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Known {
    fields: BTreeMap<Box<str>, FieldType>,
    tags: BTreeSet<Box<str>>,
}

/// A column before names that are taken are made different.
struct Candidate {
    alias: Option<Box<str>>,
    name: Box<str>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Field(FieldType),
    Tag,
}

impl FieldsAndTags {
    /// Notes a field, as `SHOW FIELD KEYS` tells it.
    pub(crate) fn field(&mut self, measurement: &str, key: &str, kind: &str) {
        let kind = [FieldType::Float, FieldType::Integer, FieldType::Unsigned, FieldType::String, FieldType::Boolean]
            .into_iter()
            .find(|known| known.name() == kind);
        if let Some(kind) = kind {
            self.0.entry(measurement.into()).or_default().fields.entry(key.into()).or_insert(kind);
        }
    }

    /// Notes a tag, as `SHOW TAG KEYS` tells it.
    pub(crate) fn tag(&mut self, measurement: &str, key: &str) {
        self.0.entry(measurement.into()).or_default().tags.insert(key.into());
    }

    fn of(&self, measurement: &Measurement, into: &mut Known) -> Result<(), Error> {
        match &measurement.name {
            MeasurementName::Name(name) => {
                if let Some(known) = self.0.get(&name.name) {
                    into.merge(known);
                }
            }
            MeasurementName::Regex(pattern) => {
                let pattern = regex(&pattern.pattern)?;
                self.0.iter().filter(|(name, _)| pattern.is_match(name)).for_each(|(_, known)| into.merge(known));
            }
        }
        Ok(())
    }
}

impl Known {
    fn merge(&mut self, other: &Self) {
        for (key, kind) in &other.fields {
            self.fields.entry(key.clone()).or_insert(*kind);
        }
        self.tags.extend(other.tags.iter().cloned());
    }
}

/// Whether the columns of a statement depend on what is stored.
pub(crate) fn needs_schema(select: &Select) -> bool {
    select.fields.iter().any(|field| has_wildcard(&field.expr))
        || select.group_by.iter().any(|dimension| matches!(dimension, Dimension::Wildcard(_) | Dimension::Regex(_)))
}

fn has_wildcard(expr: &Expr) -> bool {
    match expr {
        Expr::Wildcard(..) | Expr::Regex(_) => true,
        Expr::Call(call) => call.args.iter().any(has_wildcard),
        Expr::Paren(inner, _) => has_wildcard(inner),
        Expr::Binary(binary) => has_wildcard(&binary.left) || has_wildcard(&binary.right),
        Expr::Distinct(_) | Expr::Literal(_) | Expr::VarRef(_) => false,
    }
}

/// The columns of a statement; none when only its reply can tell.
///
/// # Errors
/// For a regular expression that isn't one.
pub(crate) fn of_statement(statement: &Statement, stored: &FieldsAndTags) -> Result<Option<Columns>, Error> {
    match &statement.kind {
        StatementKind::Select(select) => columns(select, stored).map(Some),
        StatementKind::Show(show) => Ok(of_show(show)),
        _ => Ok(None),
    }
}

fn of_show(show: &Show) -> Option<Columns> {
    let names: &[&str] = match show.kind {
        ShowKind::Measurements => &["name"],
        ShowKind::TagKeys => &["tagKey"],
        ShowKind::TagValues => &["key", "value"],
        ShowKind::FieldKeys => &["fieldKey", "fieldType"],
        ShowKind::Series => &["key"],
        _ => return None,
    };
    Some(Columns { tags: Vec::new(), columns: names.iter().map(|&name| name.into()).collect(), has_time: false })
}

/// The columns of a `SELECT`.
///
/// # Errors
/// For a regular expression that isn't one.
pub(crate) fn columns(select: &Select, stored: &FieldsAndTags) -> Result<Columns, Error> {
    let known = sources(select, stored)?;
    let mut time: Box<str> = "time".into();
    if let Some(alias) = select.fields.iter().find(|field| is_time(&field.expr)).and_then(|field| field.alias.as_ref()) {
        time = alias.name.clone();
    }
    let mut columns = vec![time];
    columns.extend(named(candidates(select, &known)?));
    Ok(Columns { tags: group_tags(select, &known)?.into_iter().collect(), columns, has_time: true })
}

fn sources(select: &Select, stored: &FieldsAndTags) -> Result<Known, Error> {
    let mut known = Known::default();
    for source in &select.from {
        match source {
            Source::Measurement(measurement) => stored.of(measurement, &mut known)?,
            Source::Subquery(inner) => {
                let below = sources(inner, stored)?;
                let candidates = candidates(inner, &below)?;
                let kinds: Vec<Kind> = candidates.iter().map(|candidate| candidate.kind).collect();
                for (name, kind) in named(candidates).into_iter().zip(kinds) {
                    match kind {
                        Kind::Field(kind) => {
                            known.fields.entry(name).or_insert(kind);
                        }
                        Kind::Tag => {
                            known.tags.insert(name);
                        }
                    }
                }
                known.tags.extend(group_tags(inner, &below)?);
            }
        }
    }
    Ok(known)
}

fn group_tags(select: &Select, known: &Known) -> Result<BTreeSet<Box<str>>, Error> {
    let mut tags = BTreeSet::new();
    for dimension in &select.group_by {
        match dimension {
            Dimension::Time { .. } => {}
            Dimension::Tag(tag) => {
                tags.insert(tag.name.clone());
            }
            Dimension::Wildcard(_) => tags.extend(known.tags.iter().cloned()),
            Dimension::Regex(pattern) => {
                let pattern = regex(&pattern.pattern)?;
                tags.extend(known.tags.iter().filter(|tag| pattern.is_match(tag)).cloned());
            }
        }
    }
    Ok(tags)
}

fn candidates(select: &Select, known: &Known) -> Result<Vec<Candidate>, Error> {
    // What a wildcard stands for: tags that are grouped by are not among it, and no tag at all when `GROUP BY` has a wildcard too.
    let mut all: BTreeMap<&str, Kind> = known.fields.iter().map(|(key, kind)| (&**key, Kind::Field(*kind))).collect();
    let grouped = group_tags(select, known)?;
    if !select.group_by.iter().any(|dimension| matches!(dimension, Dimension::Wildcard(_) | Dimension::Regex(_))) {
        for tag in known.tags.iter().filter(|tag| !grouped.contains(*tag)) {
            all.entry(tag).or_insert(Kind::Tag);
        }
    }
    let mut out = Vec::new();
    for field in &select.fields {
        let alias = field.alias.as_ref().map(|alias| alias.name.clone());
        match &field.expr {
            expr if is_time(expr) => {}
            Expr::Wildcard(which, _) => {
                out.extend(
                    all.iter()
                        .filter(|(_, kind)| match which {
                            WildcardKind::All => true,
                            WildcardKind::Fields => **kind != Kind::Tag,
                            WildcardKind::Tags => **kind == Kind::Tag,
                        })
                        .map(|(&name, &kind)| Candidate { alias: None, name: name.into(), kind }),
                );
            }
            Expr::Regex(pattern) => {
                let pattern = regex(&pattern.pattern)?;
                out.extend(all.iter().filter(|(name, _)| pattern.is_match(name)).map(|(&name, &kind)| Candidate {
                    alias: None,
                    name: name.into(),
                    kind,
                }));
            }
            Expr::Call(call) => calls(call, alias, &all, known, &mut out)?,
            expr => out.push(Candidate { alias, name: name(expr), kind: kind(expr, known) }),
        }
    }
    Ok(out)
}

/// A call's column; with a wildcard, one for each field that it can take; with `top` and `bottom`, also those of the tags among its arguments.
fn calls(
    call: &Call,
    alias: Option<Box<str>>,
    all: &BTreeMap<&str, Kind>,
    known: &Known,
    out: &mut Vec<Candidate>,
) -> Result<(), Error> {
    let expr = Expr::Call(call.clone());
    let mut innermost = call;
    while let Some(Expr::Call(inner)) = innermost.args.first() {
        innermost = inner;
    }
    let pattern = match innermost.args.first() {
        Some(Expr::Wildcard(..)) => None,
        Some(Expr::Regex(pattern)) => Some(regex(&pattern.pattern)?),
        _ => {
            out.push(Candidate { alias, name: name(&expr), kind: kind(&expr, known) });
            if matches!(&*call.name.name.to_ascii_lowercase(), "top" | "bottom") {
                for argument in call.args.iter().skip(1) {
                    if let Expr::VarRef(tag) = argument {
                        out.push(Candidate { alias: None, name: tag.name.name.clone(), kind: Kind::Tag });
                    }
                }
            }
            return Ok(());
        }
    };
    let prefix = alias.unwrap_or_else(|| name(&expr));
    let function = innermost.name.name.to_ascii_lowercase();
    for (&key, &field) in all {
        let Kind::Field(kind) = field else { continue };
        if takes(&function, kind) && pattern.as_ref().is_none_or(|pattern| pattern.is_match(key)) {
            let alias = Some(format!("{prefix}_{key}").into());
            out.push(Candidate { alias, name: "".into(), kind: Kind::Field(result(&call.name.name, kind)) });
        }
    }
    Ok(())
}

/// Whether a wildcard in this function's call stands for fields of this type.
fn takes(function: &str, kind: FieldType) -> bool {
    match kind {
        FieldType::Float | FieldType::Integer => true,
        FieldType::Unsigned => !matches!(function, "holt_winters" | "holt_winters_with_fit"),
        FieldType::Boolean => {
            matches!(function, "count" | "first" | "last" | "distinct" | "elapsed" | "mode" | "sample" | "min" | "max")
        }
        FieldType::String => matches!(function, "count" | "first" | "last" | "distinct" | "elapsed" | "mode" | "sample"),
    }
}

/// The type of a function's result.
fn result(function: &str, argument: FieldType) -> FieldType {
    match &*function.to_ascii_lowercase() {
        "count" | "elapsed" => FieldType::Integer,
        "first"
        | "last"
        | "distinct"
        | "mode"
        | "sample"
        | "min"
        | "max"
        | "sum"
        | "spread"
        | "top"
        | "bottom"
        | "percentile"
        | "difference"
        | "non_negative_difference"
        | "cumulative_sum"
        | "abs"
        | "round"
        | "floor"
        | "ceil" => argument,
        _ => FieldType::Float,
    }
}

/// Names that differ: aliases keep theirs, the others get a number where theirs is taken.
fn named(candidates: Vec<Candidate>) -> Vec<Box<str>> {
    let mut taken: HashMap<Box<str>, usize> =
        candidates.iter().filter_map(|candidate| candidate.alias.clone()).map(|alias| (alias, 1)).collect();
    let mut out = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        if let Some(alias) = candidate.alias {
            out.push(alias);
            continue;
        }
        let mut name = candidate.name;
        if let Some(&from) = taken.get(&name) {
            let numbered = |number: usize| Box::<str>::from(format!("{name}_{number}"));
            // Ends: there are finitely many names.
            let number = (from..).find(|&number| !taken.contains_key(&numbered(number))).unwrap_or(from);
            let different = numbered(number);
            taken.insert(name, number + 1);
            name = different;
        }
        *taken.entry(name.clone()).or_default() += 1;
        out.push(name);
    }
    out
}

/// The name that an expression gives its column.
fn name(expr: &Expr) -> Box<str> {
    match expr {
        Expr::Call(call) => call.name.name.to_ascii_lowercase().into(),
        Expr::Distinct(_) => "distinct".into(),
        Expr::VarRef(field) => field.name.name.clone(),
        Expr::Paren(inner, _) => name(inner),
        Expr::Binary(_) => {
            let mut parts = Vec::new();
            operands(expr, &mut parts);
            parts.join("_").into()
        }
        Expr::Literal(_) | Expr::Regex(_) | Expr::Wildcard(..) => "".into(),
    }
}

fn operands(expr: &Expr, parts: &mut Vec<Box<str>>) {
    match expr {
        Expr::Binary(binary) => {
            operands(&binary.left, parts);
            operands(&binary.right, parts);
        }
        Expr::Paren(inner, _) => operands(inner, parts),
        Expr::Call(_) | Expr::VarRef(_) | Expr::Distinct(_) => parts.push(name(expr)),
        Expr::Literal(_) | Expr::Regex(_) | Expr::Wildcard(..) => {}
    }
}

fn kind(expr: &Expr, known: &Known) -> Kind {
    match expr {
        Expr::VarRef(field) => match field.cast {
            Some(Cast::Tag) => Kind::Tag,
            Some(Cast::Boolean) => Kind::Field(FieldType::Boolean),
            Some(Cast::Float) => Kind::Field(FieldType::Float),
            Some(Cast::Integer) => Kind::Field(FieldType::Integer),
            Some(Cast::String) => Kind::Field(FieldType::String),
            Some(Cast::Unsigned) => Kind::Field(FieldType::Unsigned),
            Some(Cast::Field) | None => match known.fields.get(&field.name.name) {
                Some(kind) => Kind::Field(*kind),
                None if known.tags.contains(&field.name.name) => Kind::Tag,
                None => Kind::Field(FieldType::Float),
            },
        },
        Expr::Distinct(field) => Kind::Field(known.fields.get(&field.name).copied().unwrap_or(FieldType::Float)),
        Expr::Call(call) => {
            let argument = match call.args.first().map(|argument| kind(argument, known)) {
                Some(Kind::Field(kind)) => kind,
                _ => FieldType::Float,
            };
            Kind::Field(result(&call.name.name, argument))
        }
        Expr::Paren(inner, _) => kind(inner, known),
        Expr::Binary(binary) => match (binary.op, kind(&binary.left, known), kind(&binary.right, known)) {
            (BinaryOp::Div, ..) => Kind::Field(FieldType::Float),
            (_, Kind::Field(left), Kind::Field(right)) if left == right => Kind::Field(left),
            _ => Kind::Field(FieldType::Float),
        },
        Expr::Literal(literal) => Kind::Field(match literal.value {
            Value::Boolean(_) => FieldType::Boolean,
            Value::Integer(_) | Value::Duration(_) => FieldType::Integer,
            Value::Unsigned(_) => FieldType::Unsigned,
            Value::String(_) => FieldType::String,
            Value::Float(_) => FieldType::Float,
        }),
        Expr::Regex(_) | Expr::Wildcard(..) => Kind::Field(FieldType::Float),
    }
}

fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::VarRef(field) if &*field.name.name == "time")
}

/// Go's patterns are very nearly ours.
fn regex(pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|error| Error::invalid(format!("invalid regular expression {pattern:?}")).with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influxql::{Limits, Params, parse};

    /// Fields and tags of the measurements that InfluxDB 1.6.7 was asked about.
    fn stored() -> FieldsAndTags {
        let mut stored = FieldsAndTags::default();
        for (field, kind) in
            [("count", "integer"), ("note", "string"), ("up", "boolean"), ("usage", "float"), ("used", "integer")]
        {
            stored.field("cpu", field, kind);
        }
        stored.tag("cpu", "host");
        stored.tag("cpu", "region");
        stored.field("mem", "used", "integer");
        stored.tag("mem", "host");
        stored
    }

    #[test]
    fn columns_as_1_6_7_names_them() {
        for (q, want, tags) in [
            ("SELECT * FROM cpu", "time count host note region up usage used", ""),
            ("SELECT * FROM cpu GROUP BY host", "time count note region up usage used", "host"),
            ("SELECT * FROM cpu GROUP BY *", "time count note up usage used", "host region"),
            ("SELECT * FROM cpu GROUP BY /re/", "time count note up usage used", "region"),
            ("SELECT usage FROM cpu GROUP BY region, host", "time usage", "host region"),
            ("SELECT usage FROM cpu GROUP BY nosuch, host", "time usage", "host nosuch"),
            ("SELECT * FROM cpu, mem", "time count host note region up usage used", ""),
            ("SELECT * FROM /m/", "time host used", ""),
            (
                "SELECT mean(usage),mean(*),mean(usage),count(/u/), mean(usage)+1, 2*count(usage), -1*mean(usage),(mean(usage)), sum(usage) AS \"my s\" FROM cpu",
                "time mean mean_count mean_usage mean_used mean_1 count_count count_up count_usage count_used mean_2 count mean_3 mean_4 my s",
                "",
            ),
            (
                "SELECT usage+1,usage,usage*count,usage,*,host,/us/,abs(usage) FROM cpu",
                "time usage usage_1 usage_count usage_2 count host note region up usage_3 used host_1 usage_4 used_1 abs",
                "",
            ),
            ("SELECT *::tag,count,*::field FROM cpu", "time host region count count_1 note up usage used", ""),
            ("SELECT time, usage FROM cpu", "time usage", ""),
            ("SELECT usage, time AS t FROM cpu", "t usage", ""),
            ("SELECT top(usage,host,region,2) FROM cpu", "time top host region", ""),
            ("SELECT distinct usage FROM cpu", "time distinct", ""),
            ("SELECT count(distinct(usage)),percentile(usage,50) FROM cpu", "time count percentile", ""),
            ("SELECT usage::float, count::integer, host::tag FROM cpu", "time usage count host", ""),
            (
                "SELECT max(*),count(*) FROM cpu",
                "time max_count max_up max_usage max_used count_count count_note count_up count_usage count_used",
                "",
            ),
            ("SELECT mean(usage)/2 + max(usage) FROM cpu", "time mean_max", ""),
            ("SELECT ln(usage), ln(-1*usage), usage/0, -1*usage/0,0/usage*0 FROM cpu", "time ln ln_1 usage usage_1 usage_2", ""),
            ("SELECT *,usage FROM (select * from cpu group by host)", "time count host note region up usage used usage_1", ""),
            ("SELECT * FROM (select mean(usage) as m, max(count) from cpu group by host)", "time host m max", ""),
            ("SELECT * FROM (select mean(usage) as m, max(count) from cpu group by host),mem", "time host m max used", ""),
            ("SELECT m FROM (select mean(usage) as m, max(count) from cpu group by host),mem group by *", "time m", "host"),
            ("SELECT * FROM nosuch", "time", ""),
        ] {
            let statement = parse(q, &Params::default(), Limits::default()).unwrap().remove(0);
            let columns = of_statement(&statement, &stored()).unwrap().unwrap();
            assert_eq!((columns.columns.join(" ").as_str(), columns.tags.join(" ").as_str()), (want, tags), "{q}");
        }
    }
}
