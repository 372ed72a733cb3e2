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
    ir::{Call, Fill, Function, Place, Reader, Seen, Select, Source, Table, closed},
    pattern, rows,
    time_range::{self, Clock, TimeRange},
    value::{Scalar, Type},
    window::{MAX_TIME, MIN_TIME, Windows},
};
use crate::{
    embedded::{Schema, Tables},
    error::{Error, Kind},
    influxql::{
        ast::{self, Dimension, MeasurementName},
        validate::validate_select,
    },
    lineprotocol::FieldType,
};

/// Columns of all sources together.
#[derive(Default)]
pub(super) struct Catalog {
    pub(super) fields: BTreeMap<Box<str>, Type>,
    pub(super) tags: BTreeSet<Box<str>>,
    /// Whether there are subqueries: their tags are texts to functions.
    pub(super) subqueries: bool,
    /// Columns of subqueries that are tags in there, or made of tags.
    pub(super) tag_columns: BTreeSet<Box<str>>,
    /// Columns of subqueries of which nothing is known.
    pub(super) unknown: BTreeSet<Box<str>>,
    /// Columns of subqueries that `*` doesn't stand for.
    pub(super) by_name: BTreeSet<Box<str>>,
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

    fn add_columns(&mut self, subquery: &Select) {
        self.subqueries = true;
        for column in &subquery.columns {
            let set = match (column.seen, column.outside) {
                (Seen::Never, _) => continue,
                (_, Type::Tag) => &mut self.tag_columns,
                (_, Type::Unknown) => &mut self.unknown,
                _ => continue,
            };
            set.insert(column.name.clone());
        }
        let shown = |name: &str| subquery.columns.iter().any(|column| column.seen == Seen::Always && *column.name == *name);
        let by_name = subquery.columns.iter().filter(|column| column.seen == Seen::ByName && !shown(&column.name));
        self.by_name.extend(by_name.map(|column| column.name.clone()));
    }

    fn add(&mut self, schema: &Schema) {
        for (name, types) in &schema.fields {
            let best = best(types);
            self.fields
                .entry(name.clone())
                .and_modify(|kind| *kind = std::cmp::min_by_key(*kind, best, |kind| kind.rank()))
                .or_insert(best);
        }
        self.tags.extend(schema.tags.iter().cloned());
    }
}

/// The type of a field that has several.
fn best(types: &[FieldType]) -> Type {
    types.iter().map(|kind| Type::from(*kind)).min_by_key(|kind| kind.rank()).unwrap_or(Type::Unknown)
}

/// The measurements that `FROM` names, by name; those that don't exist are left out.
pub(super) type Found = BTreeMap<Arc<str>, Vec<(Arc<dyn Tables>, Arc<Schema>)>>;

/// What a subquery takes over from the query around it.
struct Parent<'a> {
    time: (i64, i64),
    /// See [`Select::reach`].
    reach: (i64, i64),
    /// Tags that it groups by, or tells points apart by, as far as it names them.
    tags: Vec<Box<str>>,
    windows: Option<&'a Windows>,
    ascending: bool,
    slimit: u64,
    soffset: u64,
}

/// Resolves a `SELECT` that makes sense.
pub(super) fn select(ast: &ast::Select, context: &Context<'_>) -> Result<Select, Error> {
    validate_select(ast).map_err(|error| Error::invalid(error.to_string()))?;
    let select = select_within(ast, context, None)?;
    match select.refused {
        Some(why) => Err(Error::invalid(why.into_string())),
        None => Ok(select),
    }
}

fn select_within(ast: &ast::Select, context: &Context<'_>, parent: Option<&Parent<'_>>) -> Result<Select, Error> {
    // Within a subquery it is of no effect, as in 1.x.
    if ast.into.is_some() && parent.is_none() {
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
    let own_windows = windows(ast, clock)?;
    let windows = own_windows.clone().or_else(|| {
        let inherited = parent.and_then(|parent| parent.windows.cloned());
        // Inherited windows follow the clocks that this query names: without any, none.
        inherited.map(|windows| Windows { zone: clock.zone.cloned(), ..windows })
    });

    let mut ascending = !ast.order_by.is_some_and(|order| order.descending);
    let own_time = (range.lower(), range.upper());
    let open_end = if own_windows.is_some() { context.now } else { MAX_TIME };
    let mut time = own_time;
    let mut limits = ast.limits;
    if let Some(parent) = parent {
        ascending = parent.ascending;
        time = (time.0.max(parent.time.0), time.1.min(parent.time.1));
        let more = |own: Option<u64>, more: u64| Some(own.unwrap_or(0).saturating_add(more)).filter(|sum| *sum > 0);
        (limits.slimit, limits.soffset) = (more(limits.slimit, parent.slimit), more(limits.soffset, parent.soffset));
    }

    time = closed(time, open_end);

    let (measurements, subqueries): (Vec<_>, Vec<_>) =
        ast.from.iter().cloned().partition(|source| matches!(source, ast::Source::Measurement(_)));
    let found = find(&measurements, context)?;
    let reach = parent.map_or_else(|| reach(ast, time, own_windows.as_ref(), ascending), |parent| parent.reach);
    let tags: Vec<Box<str>> =
        parent.iter().flat_map(|parent| parent.tags.iter().cloned()).chain(named_tags(ast).map(Into::into)).collect();
    let mut readers: BTreeMap<Arc<str>, Vec<(Reader, Arc<Schema>)>> = BTreeMap::new();
    for (name, tables) in found {
        let within = |(tables, schema): (Arc<dyn Tables>, Arc<Schema>)| {
            let schema = match tables.schema_within(&name, reach.0..=reach.1) {
                // Where there is nothing, nothing is known of tags either.
                Some(within) if within.fields.is_empty() => Arc::default(),
                within => within.unwrap_or(schema),
            };
            (Reader::Tables(tables), schema)
        };
        let tables = tables.into_iter().map(within).collect();
        readers.insert(name, tables);
    }
    let as_parent = Parent {
        time,
        reach,
        tags: tags.clone(),
        windows: windows.as_ref(),
        ascending,
        slimit: limits.slimit.unwrap_or(0),
        soffset: limits.soffset.unwrap_or(0),
    };
    for subquery in &subqueries {
        let ast::Source::Subquery(subquery) = subquery else { continue };
        let mut inner = select_within(subquery, context, Some(&as_parent))?;
        for source in std::mem::take(&mut inner.sources) {
            let schema = Arc::new(output_schema(&inner));
            let name = Arc::clone(&source.name);
            readers.entry(name).or_default().push((Reader::Subquery(Box::new(inner.over(vec![source]))), schema));
        }
    }
    let mut catalog = Catalog::default();
    for (reader, schema) in readers.values().flatten() {
        catalog.add(schema);
        if let Reader::Subquery(inner) = reader {
            catalog.add_columns(inner);
        }
    }

    let dimensions = dimensions(ast, &catalog)?;
    let fields = fields::resolve(ast, &catalog, &dimensions, windows.as_ref(), parent.is_some())?;

    if let (Some(windows), 1.., true) = (&windows, context.limits.max_buckets, time.0 > MIN_TIME && time.0 <= time.1) {
        let buckets = (i128::from(windows.of(time.1).0) - i128::from(windows.of(time.0).0)) / i128::from(windows.width) + 1;
        if buckets > i128::from(context.limits.max_buckets) {
            return Err(Error::invalid(format!("max-select-buckets limit exceeded: ({buckets}/{})", context.limits.max_buckets)));
        }
    }

    let windows_given = windows.is_some();
    let mut sources = Vec::new();
    let grouping = Grouping { dimensions: &dimensions, more: &tags };
    for (name, tables) in readers {
        let tables = tables
            .into_iter()
            .map(|(reader, schema)| table(reader, schema, &name, &catalog, &fields, &grouping, condition.as_ref()))
            .collect::<Result<Vec<_>, Error>>()?;
        sources.push(Source { name, tables });
    }
    let mut select = Select {
        sources,
        refs: fields.refs,
        calls: fields.calls,
        columns: fields.columns,
        time_name: fields.time_name,
        time,
        reach,
        own_time,
        open_end,
        windows,
        limited_by: dimensions.clone(),
        dimensions,
        fill: match ast.fill {
            // What surrounds a subquery would drop the nulls anyway.
            ast::Fill::Default | ast::Fill::Null if parent.is_some() && windows_given => Fill::None,
            ast::Fill::Default | ast::Fill::Null => Fill::Null,
            ast::Fill::None => Fill::None,
            ast::Fill::Previous => Fill::Previous,
            ast::Fill::Linear => Fill::Linear,
            ast::Fill::Number(ast::Number::Integer(value)) => Fill::Number(Scalar::Integer(value)),
            ast::Fill::Number(ast::Number::Float(value)) => Fill::Number(Scalar::Float(value)),
        },
        ascending,
        limits,
        zone,
        refused: None,
    };
    select.refused = refused(&select, fields.refused)?;
    Ok(select)
}

/// Why a query can't be run: a subquery that it reads can't, or a function doesn't take the type of a column that some series has.
fn refused(select: &Select, own: Option<(usize, Box<str>)>) -> Result<Option<Box<str>>, Error> {
    for table in select.sources.iter().flat_map(|source| &source.tables) {
        let Reader::Subquery(inner) = &table.reader else { continue };
        let found = |place: &Place| *place != Place::Nowhere;
        // What a function gives is known of some whatever they get: they are run.
        let runs = |call: &Call| {
            let of = &select.refs[call.slot()].name;
            let known = call.output != Type::Unknown && inner.columns.iter().any(|column| column.name == *of);
            known || found(&table.places[call.slot()])
        };
        let reads = if select.calls.is_empty() { table.places.iter().any(found) } else { select.calls.iter().any(runs) };
        if let Some(why) = &inner.refused
            && reads
        {
            return Ok(Some(why.clone()));
        }
    }
    let Some((slot, why)) = own else { return Ok(None) };
    // Without SLIMIT, 1.x's SOFFSET leaves nothing to run it on.
    if select.limits.soffset.is_some_and(|offset| offset > 0) && select.limits.slimit.unwrap_or(0) == 0 {
        return Ok(None);
    }
    for source in &select.sources {
        let limited = rows::limited(select, source)?;
        for table in source.tables.iter().filter(|table| table.places[slot] != Place::Nowhere) {
            let Reader::Tables(tables) = &table.reader else { return Ok(Some(why)) };
            let series = tables.series(&source.name, select.reach.0..=select.reach.1)?;
            let read =
                |tags: &[Box<str>]| rows::chosen(table, tags) && limited.as_ref().is_none_or(|limited| limited.has(table, tags));
            if series.iter().any(|tags| read(tags)) {
                return Ok(Some(why));
            }
        }
    }
    Ok(None)
}

/// Looks up the measurements of `FROM`.
pub(super) fn find(sources: &[ast::Source], context: &Context<'_>) -> Result<Found, Error> {
    let mut found = Found::new();
    for source in sources {
        let measurement = match source {
            ast::Source::Measurement(measurement) => measurement,
            ast::Source::Subquery(_) => return Err(Error::invalid("a subquery can't stand here")),
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
        // As if it weren't there.
        if *interval <= 0 {
            continue;
        }
        let offset = match offset {
            None => 0,
            Some(offset @ ast::Expr::Literal(ast::Literal { value: ast::Value::String(_), .. })) => {
                return Err(Error::invalid(format!("invalid time dimension offset: {offset}")));
            }
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

/// The time that the outermost query looks at, with the windows beside it that its transformations may need.
fn reach(ast: &ast::Select, time: (i64, i64), windows: Option<&Windows>, ascending: bool) -> (i64, i64) {
    let Some(windows) = windows else { return time };
    let more = windows.width.saturating_mul(fields::more_windows(ast));
    match ascending {
        true if time.0 > MIN_TIME => (time.0.saturating_sub(more).max(MIN_TIME), time.1),
        true => time,
        false => (time.0, time.1.saturating_add(more).min(MAX_TIME)),
    }
}

/// Tags that `GROUP BY`, `top` and `bottom` name: subqueries group by them too.
fn named_tags(ast: &ast::Select) -> impl Iterator<Item = &str> {
    let grouped = ast.group_by.iter().filter_map(|dimension| match dimension {
        Dimension::Tag(tag) => Some(&*tag.name),
        _ => None,
    });
    let beside = ast.fields.iter().filter_map(|field| match &field.expr {
        ast::Expr::Call(call) if ["top", "bottom"].iter().any(|name| call.name.name.eq_ignore_ascii_case(name)) => {
            call.args.get(1..call.args.len().saturating_sub(1))
        }
        _ => None,
    });
    grouped.chain(beside.flatten().filter_map(|arg| match arg {
        ast::Expr::VarRef(reference) => Some(&*reference.name.name),
        _ => None,
    }))
}

/// What subqueries group by because of the queries around them.
struct Grouping<'a> {
    /// The tags of `GROUP BY`.
    dimensions: &'a [Box<str>],
    /// Tags that the queries around this one name.
    more: &'a [Box<str>],
}

/// Binds what is read to one table's columns.
fn table(
    mut reader: Reader,
    mut schema: Arc<Schema>,
    name: &str,
    catalog: &Catalog,
    resolved: &fields::Fields,
    grouping: &Grouping<'_>,
    condition: Option<&ast::Expr>,
) -> Result<Table, Error> {
    let dimensions = grouping.dimensions;
    let by = told_apart_by(resolved);
    // What it groups by for the queries around it, a subquery doesn't give them.
    let own = Arc::clone(&schema);
    if let Reader::Subquery(inner) = &mut reader {
        inner.group_by_too(dimensions);
        inner.carry(&[&by[..], grouping.more].concat());
        schema = Arc::new(output_schema(inner));
    }
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
    let places = resolved
        .refs
        .iter()
        .map(|reference| match reference.kind {
            Type::Tag if !reference.of_points && !own.tags.contains(&reference.name) => Place::Nowhere,
            Type::Tag => tag(&reference.name).map_or(Place::Nowhere, Place::Tag),
            Type::Unknown => Place::Nowhere,
            _ => field(&reference.name).map_or(Place::Nowhere, Place::Field),
        })
        .collect();
    let (condition, series) = match condition {
        Some(condition) => {
            // Fields get their numbers first; tags follow when all fields are known.
            let measurement = matches!(reader, Reader::Tables(_)).then_some(name);
            let mixed = |name: &str| match schema.fields.iter().find(|(field, _)| **field == *name) {
                Some((_, types)) if types.len() > 1 => Some(best(types)),
                _ => None,
            };
            let mut names = condition::Names {
                field: &mut field,
                mixed: &mixed,
                tag: &tag,
                measurement,
                elsewhere: &|name| catalog.fields.contains_key(name),
            };
            let bound = condition::bind(condition, &mut names)?;
            let placed = bound.place_tags(fields.len());
            (Some(Arc::new(placed.points)), Some(Arc::new(placed.series)))
        }
        None => (None, None),
    };
    Ok(Table {
        places,
        dimensions: dimensions.iter().map(|dimension| tag(dimension)).collect(),
        by: by.iter().map(|name| tag(name)).collect(),
        condition,
        series,
        fields,
        reader,
        schema,
    })
}

/// Names of the tags that `top` and `bottom` tell points apart by, sorted.
fn told_apart_by(resolved: &fields::Fields) -> Vec<Box<str>> {
    let mut names = BTreeSet::new();
    for call in &resolved.calls {
        if let Function::Extremes { names: tags, .. } = &call.function {
            names.extend(tags.iter().cloned());
        }
    }
    names.into_iter().collect()
}

/// What a subquery gives, as the columns of a measurement.
fn output_schema(select: &Select) -> Schema {
    let mut fields: BTreeMap<Box<str>, Vec<FieldType>> = BTreeMap::new();
    for column in select.columns.iter().filter(|column| column.outside != Type::Unknown && column.seen != Seen::Never) {
        fields.entry(column.name.clone()).or_insert_with(|| {
            vec![match column.outside {
                Type::Float | Type::Unknown => FieldType::Float,
                Type::Integer => FieldType::Integer,
                Type::Unsigned => FieldType::Unsigned,
                Type::String | Type::Tag => FieldType::String,
                Type::Boolean => FieldType::Boolean,
            }]
        });
    }
    Schema { tags: select.dimensions.clone(), fields: fields.into_iter().collect() }
}

/// The text of an expression, its references with their types.
pub(super) fn typed_text(expr: &ast::Expr, catalog: &Catalog) -> String {
    let kind = |reference: &ast::VarRef| Some(fields::typed_reference(reference, catalog)).filter(|kind| *kind != Type::Unknown);
    describe::typed(expr, &|reference| kind(reference).map(Type::name))
}
