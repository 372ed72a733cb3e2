//! From the tree of a `SELECT` to its plan: sources are looked up, the time range is cut out, names become typed columns.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::tz::TimeZone;

use super::{
    condition,
    context::Context,
    describe, fields,
    ir::{Fill, Place, Ref, Select, Source, Table},
    pattern,
    time_range::{self, Clock, TimeRange},
    value::{Scalar, Type},
    window::{MIN_TIME, Windows},
};
use crate::{
    embedded::{Schema, Tables},
    error::{Error, Kind},
    influxql::ast::{self, Dimension, MeasurementName},
};

/// Columns of all sources together.
#[derive(Default)]
pub(super) struct Catalog {
    pub(super) fields: BTreeMap<Box<str>, Type>,
    pub(super) tags: BTreeSet<Box<str>>,
}

impl Catalog {
    /// The type of a name: a field goes before a tag.
    pub(super) fn kind(&self, name: &str) -> Type {
        match self.fields.get(name) {
            Some(kind) => *kind,
            None if self.tags.contains(name) => Type::Tag,
            None => Type::Unknown,
        }
    }

    fn add(&mut self, schema: &Schema) {
        for (name, types) in &schema.fields {
            let best = types.iter().map(|kind| Type::from(*kind)).min_by_key(|kind| kind.rank()).unwrap_or(Type::Unknown);
            self.fields
                .entry(name.clone())
                .and_modify(|kind| *kind = std::cmp::min_by_key(*kind, best, |kind| kind.rank()))
                .or_insert(best);
        }
        self.tags.extend(schema.tags.iter().cloned());
    }
}

/// The measurements that `FROM` names, by name; those that don't exist are left out.
pub(super) type Found = BTreeMap<Arc<str>, Vec<(Arc<dyn Tables>, Arc<Schema>)>>;

/// Resolves a `SELECT`.
pub(super) fn select(ast: &ast::Select, context: &Context<'_>) -> Result<Select, Error> {
    if ast.into.is_some() {
        return Err(Error::new(Kind::NotImplemented, "not implemented: SELECT INTO"));
    }
    let zone = match &ast.timezone {
        Some(name) => Some((
            name.name.clone(),
            TimeZone::get(&name.name).map_err(|_| Error::invalid(format!("unable to find time zone {}", name.name)))?,
        )),
        None => None,
    };
    let clock = Clock { now: context.now, zone: zone.as_ref().map(|(_, zone)| zone) };
    let (condition, range) = match &ast.condition {
        Some(condition) => time_range::split(condition, clock)?,
        None => (None, TimeRange::default()),
    };
    let windows = windows(ast, clock)?;
    fields::validate(ast, windows.is_some())?;

    let found = find(&ast.from, context)?;
    let mut catalog = Catalog::default();
    found.values().flatten().for_each(|(_, schema)| catalog.add(schema));

    let dimensions = dimensions(ast, &catalog)?;
    let fields = fields::resolve(ast, &catalog, &dimensions, windows.as_ref())?;

    let end = range.max.unwrap_or(if windows.is_some() { context.now } else { range.upper() });
    let time = (range.lower(), end);
    if let (Some(windows), 1.., true) = (&windows, context.limits.max_buckets, time.0 > MIN_TIME && time.0 <= time.1) {
        let buckets = (i128::from(windows.of(time.1).0) - i128::from(windows.of(time.0).0)) / i128::from(windows.width) + 1;
        if buckets > i128::from(context.limits.max_buckets) {
            return Err(Error::invalid(format!("max-select-buckets limit exceeded: ({buckets}/{})", context.limits.max_buckets)));
        }
    }

    let mut sources = Vec::new();
    for (name, tables) in found {
        let tables = tables
            .into_iter()
            .map(|(tables, schema)| table(tables, schema, &fields.refs, &dimensions, condition.as_ref()))
            .collect::<Result<Vec<_>, Error>>()?;
        sources.push(Source { name, tables });
    }
    Ok(Select {
        sources,
        refs: fields.refs,
        calls: fields.calls,
        columns: fields.columns,
        time_name: fields.time_name,
        time,
        windows,
        dimensions,
        fill: match ast.fill {
            ast::Fill::Default | ast::Fill::Null => Fill::Null,
            ast::Fill::None => Fill::None,
            ast::Fill::Previous => Fill::Previous,
            ast::Fill::Linear => Fill::Linear,
            ast::Fill::Number(ast::Number::Integer(value)) => Fill::Number(Scalar::Integer(value)),
            ast::Fill::Number(ast::Number::Float(value)) => Fill::Number(Scalar::Float(value)),
        },
        ascending: !ast.order_by.is_some_and(|order| order.descending),
        limits: ast.limits,
        zone,
    })
}

/// Looks up the measurements of `FROM`.
pub(super) fn find(sources: &[ast::Source], context: &Context<'_>) -> Result<Found, Error> {
    let mut found = Found::new();
    for source in sources {
        let measurement = match source {
            ast::Source::Measurement(measurement) => measurement,
            ast::Source::Subquery(_) => return Err(Error::new(Kind::NotImplemented, "not implemented: subqueries")),
        };
        let tables = tables(measurement, context)?;
        let names: Vec<Arc<str>> = match &measurement.name {
            MeasurementName::Name(name) => vec![(*name.name).into()],
            MeasurementName::Regex(pattern) => {
                let pattern = pattern::compile(&pattern.pattern)?;
                tables.measurements().into_iter().filter(|name| pattern.is_match(name)).collect()
            }
        };
        for name in names {
            if let Some(schema) = tables.schema(&name) {
                found.entry(name).or_default().push((Arc::clone(&tables), schema));
            }
        }
    }
    Ok(found)
}

/// The bucket of a measurement: `"bucket".."m"`, or the default one.
fn tables(measurement: &ast::Measurement, context: &Context<'_>) -> Result<Arc<dyn Tables>, Error> {
    match (&measurement.database, &measurement.retention_policy) {
        (None, None) => (context.tables)(context.bucket),
        (Some(bucket), None) => (context.tables)(&bucket.name),
        (Some(database), Some(policy)) => (context.tables)(&format!("{}/{}", database.name, policy.name)),
        (None, Some(policy)) => Err(Error::invalid(format!("retention policy not found: {}", policy.name))),
    }
}

fn windows(ast: &ast::Select, clock: Clock<'_>) -> Result<Option<Windows>, Error> {
    let mut windows = None;
    for dimension in &ast.group_by {
        let Dimension::Time { interval, offset, .. } = dimension else { continue };
        if windows.is_some() {
            return Err(Error::invalid("multiple time dimensions not allowed"));
        }
        if *interval <= 0 {
            return Err(Error::invalid("time dimension must have a duration greater than zero"));
        }
        let offset = match offset {
            None => 0,
            Some(offset) => time_range::offset(offset, *interval, clock)?,
        };
        windows = Some(Windows { width: *interval, offset, zone: clock.zone.cloned() });
    }
    Ok(windows)
}

/// The tags to group by, sorted.
fn dimensions(ast: &ast::Select, catalog: &Catalog) -> Result<Vec<Box<str>>, Error> {
    let mut names = BTreeSet::new();
    for dimension in &ast.group_by {
        match dimension {
            Dimension::Time { .. } => {}
            Dimension::Tag(tag) => {
                names.insert(tag.name.clone());
            }
            Dimension::Wildcard(_) => names.extend(catalog.tags.iter().cloned()),
            Dimension::Regex(pattern) => {
                let pattern = pattern::compile(&pattern.pattern)?;
                names.extend(catalog.tags.iter().filter(|tag| pattern.is_match(tag)).cloned());
            }
        }
    }
    Ok(names.into_iter().collect())
}

/// Binds what is read to one table's columns.
fn table(
    tables: Arc<dyn Tables>,
    schema: Arc<Schema>,
    refs: &[Ref],
    dimensions: &[Box<str>],
    condition: Option<&ast::Expr>,
) -> Result<Table, Error> {
    let tag = |name: &str| schema.tags.iter().position(|tag| **tag == *name);
    let mut fields: Vec<Box<str>> = Vec::new();
    let mut field = |name: &str| -> Option<usize> {
        if !schema.fields.iter().any(|(field, _)| **field == *name) {
            return None;
        }
        Some(fields.iter().position(|field| **field == *name).unwrap_or_else(|| {
            fields.push(name.into());
            fields.len() - 1
        }))
    };
    let places = refs
        .iter()
        .map(|reference| match reference.kind {
            Type::Tag => tag(&reference.name).map_or(Place::Nowhere, Place::Tag),
            Type::Unknown => Place::Nowhere,
            _ => field(&reference.name).map_or(Place::Nowhere, Place::Field),
        })
        .collect();
    let condition = match condition {
        Some(condition) => {
            // Fields get their numbers first; tags follow when all fields are known.
            let bound = condition::bind(condition, &mut field, &tag)?;
            Some(Arc::new(bound.place_tags(fields.len())))
        }
        None => None,
    };
    Ok(Table {
        places,
        dimensions: dimensions.iter().map(|dimension| tag(dimension)).collect(),
        condition,
        fields,
        tables,
        schema,
    })
}

/// The text of an expression, its references with their types.
pub(super) fn typed_text(expr: &ast::Expr, catalog: &Catalog) -> String {
    describe::typed(expr, &|reference| Some(fields::kind_of(reference, catalog).name()))
}
