//! The selected columns: validation in 1.x's words, wildcards, names, types.

use std::collections::HashMap;

use super::{
    describe,
    expr::Expr,
    fold::fold,
    functions,
    ir::{Call, Column, Ref, Seen},
    math::Math,
    pattern, resolve,
    resolve::Catalog,
    value::{Scalar, Type},
    window::Windows,
};
use crate::{
    error::Error,
    influxql::ast::{self, BinaryOp, Cast, Dimension, Value, VarRef, WildcardKind},
};

/// What `SELECT` came to.
pub(super) struct Fields {
    pub(super) refs: Vec<Ref>,
    pub(super) calls: Vec<Call>,
    pub(super) columns: Vec<Column>,
    pub(super) time_name: Box<str>,
    /// Why it can't be run if there is any series to run it on, and which of the references that is about.
    pub(super) refused: Option<(usize, Box<str>)>,
}

/// How many windows more transformations may look at.
pub(super) fn more_windows(ast: &ast::Select) -> i64 {
    fn within(expr: &ast::Expr) -> i64 {
        match expr {
            ast::Expr::Call(call) => {
                let inner = call.args.iter().map(within).max().unwrap_or(0);
                inner.max(functions::more_windows(call))
            }
            ast::Expr::Binary(binary) => within(&binary.left).max(within(&binary.right)),
            ast::Expr::Paren(inner, _) => within(inner),
            _ => 0,
        }
    }
    ast.fields.iter().map(|field| within(&field.expr)).max().unwrap_or(0)
}

fn is_time(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::VarRef(reference) if &*reference.name.name == "time")
}

/// The type of a reference, with its cast.
pub(super) fn kind_of(reference: &VarRef, catalog: &Catalog) -> Type {
    let name = &*reference.name.name;
    let field = catalog.fields.get(name);
    match reference.cast {
        None => catalog.kind(name),
        // Of a subquery, what isn't there has the type that is said of it.
        Some(Cast::Tag) if catalog.tags.contains(name) || catalog.subqueries => Type::Tag,
        Some(Cast::Tag) => Type::Unknown,
        Some(Cast::Field) if catalog.tag_columns.contains(name) => Type::Unknown,
        Some(Cast::Field) => field.copied().unwrap_or(Type::Unknown),
        Some(_) if field.is_none() && !catalog.subqueries => Type::Unknown,
        Some(Cast::Float) => Type::Float,
        Some(Cast::Integer) => Type::Integer,
        Some(Cast::Unsigned) => Type::Unsigned,
        Some(Cast::String) => Type::String,
        Some(Cast::Boolean) => Type::Boolean,
    }
}

/// The type that expressions take a reference for: what is a tag within a subquery is one outside.
pub(super) fn typed_reference(reference: &VarRef, catalog: &Catalog) -> Type {
    match reference.cast {
        None if catalog.tag_columns.contains(&reference.name.name) => Type::Tag,
        _ => kind_of(reference, catalog),
    }
}

/// The type of a selected reference. Casts of a subquery's columns that can't be done are not.
fn selected_kind(reference: &VarRef, catalog: &Catalog) -> Type {
    let kind = kind_of(reference, catalog);
    let name = &reference.name.name;
    let own = catalog.fields.get(name).copied().or_else(|| catalog.tags.contains(name).then_some(Type::Tag));
    match (reference.cast, own) {
        (None | Some(Cast::Field), _) | (_, None) => kind,
        (_, Some(own)) if !catalog.subqueries || own.is_number() && kind.is_number() => kind,
        (_, Some(own)) => own,
    }
}

/// One column to be, after wildcards.
struct Item {
    expr: ast::Expr,
    alias: Option<Box<str>>,
    seen: Seen,
}

impl Item {
    fn new(expr: ast::Expr, alias: Option<Box<str>>) -> Self {
        Self { expr, alias, seen: Seen::Always }
    }
}

/// The fields without the times among them, and what the last of these was called. 1.x passes over the field behind one that it takes out: a
/// time stays there as a column without values, and so do all times in a subquery.
fn without_times(fields: &[ast::Field], subquery: bool) -> (Vec<&ast::Field>, Box<str>) {
    let mut left: Vec<&ast::Field> = fields.iter().collect();
    let mut name: Box<str> = "time".into();
    let mut place = 0;
    while let Some(field) = left.get(place).filter(|_| !subquery) {
        if is_time(&field.expr) {
            name = field.alias.as_ref().map_or_else(|| "time".into(), |alias| alias.name.clone());
            left.remove(place);
        }
        place += 1;
    }
    (left, name)
}

/// Expands, names and types the selected columns. In a subquery, operators take what they don't know for nothing.
pub(super) fn resolve(
    ast: &ast::Select,
    catalog: &Catalog,
    dimensions: &[Box<str>],
    windows: Option<&Windows>,
    subquery: bool,
) -> Result<Fields, Error> {
    let (selected, time_name) = without_times(&ast.fields, subquery);
    let mut items = Vec::new();
    let grouped_by_pattern =
        ast.group_by.iter().any(|dimension| matches!(dimension, Dimension::Wildcard(_) | Dimension::Regex(_)));
    // What `*` stands for, by name: fields, and tags that aren't grouped by. With `GROUP BY *` no tags at all.
    let mut all: Vec<(&str, Type)> = catalog.fields.iter().map(|(name, kind)| (&**name, *kind)).collect();
    all.retain(|(name, _)| !catalog.by_name.contains(*name));
    for (_, kind) in all.iter_mut().filter(|(name, _)| catalog.tag_columns.contains(*name)) {
        *kind = Type::Tag;
    }
    all.extend(catalog.unknown.iter().filter(|name| !catalog.fields.contains_key(*name)).map(|name| (&**name, Type::Unknown)));
    if !grouped_by_pattern && !all.is_empty() {
        all.extend(catalog.tags.iter().filter(|tag| !dimensions.contains(tag)).map(|tag| (&**tag, Type::Tag)));
    }
    all.sort_by(|a, b| a.0.cmp(b.0).then(a.1.rank().cmp(&b.1.rank())));

    for field in selected {
        let alias = field.alias.as_ref().map(|alias| alias.name.clone());
        expand(&fold(&field.expr), alias, &all, catalog, &mut items)?;
        // What `top` and `bottom` name beside their field is selected too, unless it is written somewhere.
        if ast.into.is_none() || subquery {
            named_beside(&field.expr, &mut items);
        }
    }

    // The types of all columns come before what is wrong with the functions of one.
    if !subquery {
        items.iter().try_for_each(|item| typed(&item.expr, catalog, &|math, args| math.result(args)).map(|_| ()))?;
    }
    let mut builder = Builder { catalog, windows, refused: None, refs: Vec::new(), calls: Vec::new() };
    let mut exprs = Vec::with_capacity(items.len());
    for item in &items {
        exprs.push(builder.expr(&item.expr)?);
    }
    let refs = builder.refs.len();
    let columns = exprs
        .into_iter()
        .zip(names(&items))
        .zip(&items)
        .map(|(((expr, kind), name), item)| {
            let own = item.alias.as_ref().is_some_and(|alias| *alias == name) || *base_name(&item.expr) == *name;
            let seen = if own { item.seen } else { Seen::Never };
            Column { name, outside: outside(&item.expr, catalog), expr: shift_calls(expr, refs), kind, seen }
        })
        .collect();
    Ok(Fields { refs: builder.refs, calls: builder.calls, columns, time_name, refused: builder.refused })
}

/// The type that a query around this one takes an expression for; unknown where its operands don't go together.
fn outside(expr: &ast::Expr, catalog: &Catalog) -> Type {
    // It is asked for the function's argument where nobody thinks of mathematics.
    let math = |_: Math, args: &[Type]| args.first().copied().unwrap_or(Type::Unknown);
    typed(expr, catalog, &math).unwrap_or(Type::Unknown)
}

/// Selects the tags and fields between the first and the last argument of `top` and `bottom`, where nothing is computed from the result.
fn named_beside(expr: &ast::Expr, items: &mut Vec<Item>) {
    match expr {
        ast::Expr::Call(call) if ["top", "bottom"].iter().any(|name| call.name.name.eq_ignore_ascii_case(name)) => {
            let between = call.args.get(1..call.args.len().saturating_sub(1)).unwrap_or_default();
            items.extend(between.iter().map(|arg| Item { seen: Seen::ByName, ..Item::new(arg.clone(), None) }));
        }
        ast::Expr::Paren(inner, _) => named_beside(inner, items),
        _ => {}
    }
}

/// Replaces `*` and regular expressions, also as first argument of a call.
fn expand(
    expr: &ast::Expr,
    alias: Option<Box<str>>,
    all: &[(&str, Type)],
    catalog: &Catalog,
    items: &mut Vec<Item>,
) -> Result<(), Error> {
    let reference = |name: &str, kind: Type| {
        ast::Expr::VarRef(VarRef {
            name: ast::Ident { name: name.into(), span: crate::influxql::Span::default() },
            cast: match kind {
                Type::Tag if !catalog.tags.contains(name) => None,
                Type::Tag => Some(Cast::Tag),
                _ => Some(Cast::Field),
            },
        })
    };
    match expr {
        ast::Expr::Wildcard(wanted, _) => {
            for (name, kind) in all {
                let skip = match wanted {
                    WildcardKind::All => false,
                    WildcardKind::Fields => *kind == Type::Tag,
                    WildcardKind::Tags => *kind != Type::Tag,
                };
                if !skip {
                    items.push(Item::new(reference(name, *kind), None));
                }
            }
        }
        ast::Expr::Regex(pattern) => {
            let pattern = pattern::compile(&pattern.pattern)?;
            let matching = all.iter().filter(|(name, _)| pattern.is_match(name));
            items.extend(matching.map(|(name, kind)| Item::new(reference(name, *kind), None)));
        }
        ast::Expr::Call(call) => {
            let mut innermost = call;
            while let Some(ast::Expr::Call(inner)) = innermost.args.first() {
                innermost = inner;
            }
            let pattern = match innermost.args.first() {
                Some(ast::Expr::Wildcard(WildcardKind::Tags, _)) => {
                    return Err(Error::invalid(format!("unable to use tag wildcard in {}()", innermost.name.name)));
                }
                Some(ast::Expr::Wildcard(..)) => None,
                Some(ast::Expr::Regex(regex)) => Some(pattern::compile(&regex.pattern)?),
                _ => {
                    items.push(Item::new(expr.clone(), alias));
                    return Ok(());
                }
            };
            let prefix = alias.unwrap_or_else(|| call.name.name.to_ascii_lowercase().into());
            for (name, kind) in all {
                if functions::takes_in_wildcard(&innermost.name.name, *kind) && pattern.as_ref().is_none_or(|p| p.is_match(name))
                {
                    let mut copy = call.clone();
                    replace_innermost(&mut copy, reference(name, *kind));
                    items.push(Item::new(ast::Expr::Call(copy), Some(format!("{prefix}_{name}").into())));
                }
            }
        }
        _ => items.push(Item::new(expr.clone(), alias)),
    }
    Ok(())
}

fn replace_innermost(call: &mut ast::Call, with: ast::Expr) {
    match call.args.first_mut() {
        Some(ast::Expr::Call(inner)) => replace_innermost(inner, with),
        Some(arg) => *arg = with,
        None => {}
    }
}

/// Column names: aliases as they are, the others made unique.
fn names(items: &[Item]) -> Vec<Box<str>> {
    let mut seen: HashMap<Box<str>, usize> = HashMap::new();
    for alias in items.iter().filter_map(|item| item.alias.as_ref()) {
        seen.insert(alias.clone(), 1);
    }
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        if let Some(alias) = &item.alias {
            names.push(alias.clone());
            continue;
        }
        let base: Box<str> = base_name(&item.expr).into();
        let mut name = base.clone();
        if let Some(count) = seen.get(&base).copied() {
            let mut count = count;
            loop {
                name = format!("{base}_{count}").into();
                if !seen.contains_key(&name) {
                    break;
                }
                count += 1;
            }
            seen.insert(base, count + 1);
        }
        *seen.entry(name.clone()).or_insert(0) += 1;
        names.push(name);
    }
    names
}

fn base_name(expr: &ast::Expr) -> String {
    match expr {
        ast::Expr::Call(call) => call.name.name.to_ascii_lowercase(),
        ast::Expr::Distinct(_) => "distinct".into(),
        ast::Expr::VarRef(reference) => reference.name.name.to_string(),
        ast::Expr::Paren(inner, _) => base_name(inner),
        ast::Expr::Binary(_) => {
            let mut parts = Vec::new();
            collect_names(expr, &mut parts);
            parts.join("_")
        }
        _ => String::new(),
    }
}

fn collect_names(expr: &ast::Expr, parts: &mut Vec<String>) {
    match expr {
        ast::Expr::Binary(binary) => {
            collect_names(&binary.left, parts);
            collect_names(&binary.right, parts);
        }
        ast::Expr::Paren(inner, _) => collect_names(inner, parts),
        ast::Expr::VarRef(_) | ast::Expr::Call(_) | ast::Expr::Distinct(_) => parts.push(base_name(expr)),
        _ => {}
    }
}

/// Calls are numbered from here until the number of references is known.
const CALLS: usize = 1 << 32;

fn shift_calls(expr: Expr, refs: usize) -> Expr {
    match expr {
        Expr::Slot(slot) if slot >= CALLS => Expr::Slot(slot - CALLS + refs),
        Expr::Slot(_) | Expr::Literal(_) => expr,
        Expr::Cast(inner, kind) => Expr::Cast(Box::new(shift_calls(*inner, refs)), kind),
        Expr::NonEmpty(inner) => Expr::NonEmpty(Box::new(shift_calls(*inner, refs))),
        Expr::Falsy(inner) => Expr::Falsy(Box::new(shift_calls(*inner, refs))),
        Expr::Binary(op, left, right) => {
            Expr::Binary(op, Box::new(shift_calls(*left, refs)), Box::new(shift_calls(*right, refs)))
        }
        Expr::Match { text, regex, negated } => Expr::Match { text: Box::new(shift_calls(*text, refs)), regex, negated },
        Expr::Math(math, args) => Expr::Math(math, args.into_iter().map(|arg| shift_calls(arg, refs)).collect()),
    }
}

/// Collects references and calls while expressions are typed.
pub(super) struct Builder<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) windows: Option<&'a Windows>,
    /// The first call of a function that doesn't take its argument's type: the argument's slot, and 1.x's words.
    pub(super) refused: Option<(usize, Box<str>)>,
    refs: Vec<Ref>,
    calls: Vec<Call>,
}

impl Builder<'_> {
    /// The slot of a reference.
    pub(super) fn reference(&mut self, reference: &VarRef, selected: bool) -> (usize, Type) {
        let kind = if selected { selected_kind(reference, self.catalog) } else { kind_of(reference, self.catalog) };
        self.named(&reference.name.name, kind, selected, false)
    }

    /// The slot of the tag of this name that the points themselves have, whatever else has the name: points are told apart by it.
    pub(super) fn point_tag(&mut self, name: &str) -> usize {
        self.named(name, Type::Tag, true, true).0
    }

    fn named(&mut self, name: &str, kind: Type, selected: bool, of_points: bool) -> (usize, Type) {
        if let Some(slot) =
            self.refs.iter().position(|known| (&*known.name, known.kind, known.of_points) == (name, kind, of_points))
        {
            self.refs[slot].selected |= selected;
            return (slot, kind);
        }
        self.refs.push(Ref { name: name.into(), kind, selected, of_points });
        (self.refs.len() - 1, kind)
    }

    fn expr(&mut self, expr: &ast::Expr) -> Result<(Expr, Type), Error> {
        Ok(match expr {
            ast::Expr::Paren(inner, _) => self.expr(inner)?,
            ast::Expr::VarRef(reference) => {
                let (slot, kind) = self.reference(reference, true);
                (Expr::Slot(slot), kind)
            }
            ast::Expr::Literal(literal) => match &literal.value {
                Value::Boolean(value) => (Expr::Literal(Scalar::Boolean(*value)), Type::Boolean),
                Value::Float(value) => (Expr::Literal(Scalar::Float(*value)), Type::Float),
                Value::Integer(value) => (Expr::Literal(Scalar::Integer(*value)), Type::Integer),
                // Nothing is reckoned with durations here.
                Value::Duration(_) => (Expr::Literal(Scalar::Null), Type::Unknown),
                Value::Unsigned(value) => (Expr::Literal(Scalar::Unsigned(*value)), Type::Unsigned),
                Value::String(value) => (Expr::Literal(Scalar::String((**value).into())), Type::String),
            },
            ast::Expr::Distinct(ident) => {
                let reference = VarRef { name: ident.clone(), cast: None };
                let call = functions::distinct(self, &reference);
                self.call(call)
            }
            ast::Expr::Call(call) => match Math::named(&call.name.name) {
                Some(math) => {
                    let (args, kinds): (Vec<_>, Vec<_>) =
                        call.args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
                    let kind = math.result(&kinds);
                    (Expr::Math(math, args), kind)
                }
                None => {
                    let call = functions::resolve(self, call)?;
                    self.call(call)
                }
            },
            ast::Expr::Binary(binary) => {
                let (left, left_kind) = self.expr(&binary.left)?;
                let (right, right_kind) = self.expr(&binary.right)?;
                let kind = match result_type(binary, left_kind, right_kind) {
                    Ok(Type::Integer) if binary.op == BinaryOp::Div => Type::Float,
                    kind => kind.unwrap_or(Type::Unknown),
                };
                (Expr::Binary(binary.op, Box::new(left), Box::new(right)), kind)
            }
            ast::Expr::Regex(_) => return Err(Error::invalid("unable to use regex in a binary expression")),
            ast::Expr::Wildcard(..) => return Err(Error::invalid("unable to use wildcard in a binary expression")),
        })
    }

    fn call(&mut self, call: Call) -> (Expr, Type) {
        let kind = call.output;
        let slot = self.calls.iter().position(|known| *known == call).unwrap_or_else(|| {
            self.calls.push(call);
            self.calls.len() - 1
        });
        (Expr::Slot(CALLS + slot), kind)
    }
}

/// The type of an expression as far as its names tell; `math` tells that of a mathematical function.
fn typed(expr: &ast::Expr, catalog: &Catalog, math: &dyn Fn(Math, &[Type]) -> Type) -> Result<Type, Error> {
    Ok(match expr {
        ast::Expr::Paren(inner, _) => typed(inner, catalog, math)?,
        ast::Expr::VarRef(reference) => typed_reference(reference, catalog),
        ast::Expr::Distinct(ident) => typed_reference(&VarRef { name: ident.clone(), cast: None }, catalog),
        ast::Expr::Literal(literal) => match &literal.value {
            Value::Boolean(_) => Type::Boolean,
            Value::Float(_) => Type::Float,
            Value::Integer(_) => Type::Integer,
            Value::Unsigned(_) => Type::Unsigned,
            Value::String(_) => Type::String,
            Value::Duration(_) => Type::Unknown,
        },
        ast::Expr::Call(call) => {
            let args = call.args.iter().map(|arg| typed(arg, catalog, math)).collect::<Result<Vec<_>, _>>()?;
            match Math::named(&call.name.name) {
                Some(named) => math(named, &args),
                None => functions::result_type(&call.name.name, args.first().copied().unwrap_or(Type::Unknown)),
            }
        }
        ast::Expr::Binary(binary) => {
            let (left, right) = (typed(&binary.left, catalog, math)?, typed(&binary.right, catalog, math)?);
            result_type(binary, left, right)
                .map_err(|why| Error::invalid(format!("type error: {}: {why}", resolve::typed_text(expr, catalog))))?
        }
        ast::Expr::Regex(_) | ast::Expr::Wildcard(..) => Type::Unknown,
    })
}

/// The type of `left op right`, or why there is none. Quotients of integers are floats, but it isn't looked at what they are used for.
fn result_type(binary: &ast::Binary, left: Type, right: Type) -> Result<Type, String> {
    use BinaryOp::{BitAnd, BitOr, BitXor};
    use Type::{Boolean, Float, Integer, Unknown, Unsigned};
    let literal = |expr: &ast::Expr| matches!(expr, ast::Expr::Literal(_));
    let bits = matches!(binary.op, BitAnd | BitOr | BitXor);
    match (left, right) {
        (Unsigned, Integer) if literal(&binary.right) => return Ok(Unsigned),
        (Integer, Unsigned) if literal(&binary.left) => return Ok(Unsigned),
        (Unsigned, Integer) | (Integer, Unsigned) => {
            return Err(format!("cannot use {} with an integer and unsigned", describe::operator(binary.op)));
        }
        (Boolean, _) if bits => return Ok(Boolean),
        (Unknown, kind) | (kind, Unknown) => return Ok(kind),
        _ => {}
    }
    match (left, right) {
        (Integer, Integer) => Ok(Integer),
        (Unsigned, Unsigned) => Ok(Unsigned),
        (a, b) if a.is_number() && b.is_number() && !bits => Ok(Float),
        (a, b) => Err(format!("incompatible types: {} and {}", a.name(), b.name())),
    }
}
