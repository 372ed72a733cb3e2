//! `SELECT`, `EXPLAIN`, and the clauses that other statements share with them.

use super::super::ast::{
    Dimension, Explain, Expr, Field, Fill, Ident, Limits4, Measurement, MeasurementName, Number, OrderBy, Select, Source,
    StatementKind, Target, Value,
};
use super::super::lexer::Token;
use super::super::token::Kind;
use super::{Error, Parser, Result, Span, span};

/// Whether `INTO` may or must be there.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Into {
    Allowed,
    Required,
}

impl Parser<'_> {
    /// `EXPLAIN [ANALYZE] SELECT …`
    pub(super) fn explain(&mut self) -> Result<StatementKind> {
        let analyze = self.eat(Kind::Analyze).is_some();
        let token = self.expect(Kind::Select)?;
        let select = self.select(token.start, Into::Allowed)?;
        Ok(StatementKind::Explain(Box::new(Explain { analyze, select })))
    }

    /// What follows the keyword `SELECT`, which stands at `start`.
    pub(super) fn select(&mut self, start: u32, into: Into) -> Result<Select> {
        let fields = self.fields()?;
        let into = self.target(into)?;
        self.expect(Kind::From)?;
        let from = self.sources(true)?;
        let condition = self.condition()?;
        let group_by = self.group_by()?;
        let fill = self.fill()?;
        let order_by = self.order_by()?;
        let limits = self.limits(true)?;
        let timezone = self.timezone()?;
        let span = self.since(start);
        Ok(Select { fields, into, from, condition, group_by, fill, order_by, limits, timezone, span })
    }

    fn fields(&mut self) -> Result<Vec<Field>> {
        let mut fields = Vec::with_capacity(2);
        loop {
            fields.push(self.field()?);
            if self.eat_raw(Kind::Comma).is_none() {
                return Ok(fields);
            }
        }
    }

    fn field(&mut self) -> Result<Field> {
        let expr = match self.regex()? {
            Some(regex) => Expr::Regex(regex),
            None => {
                let first = self.peek();
                let expr = self.expr()?;
                if let Some(op) = comparison(&expr) {
                    let (line, char) = self.place(first);
                    let message = format!(
                        "invalid operator {op} in SELECT clause at line {line}, char {char}; operator is intended for WHERE clause"
                    );
                    return Err(Self::plain_error(message, span(first)));
                }
                expr
            }
        };
        let alias = match self.eat(Kind::As) {
            Some(_) => Some(self.ident()?),
            None => None,
        };
        let span = self.since(expr.span().start);
        self.skip_space();
        Ok(Field { expr, alias, span })
    }

    fn target(&mut self, into: Into) -> Result<Option<Target>> {
        let token = self.peek();
        if token.kind != Kind::Into {
            if into == Into::Required {
                return Err(self.unexpected(token, &["INTO"]));
            }
            return Ok(None);
        }
        self.take(token);
        let start = self.peek().start;
        let mut segments = self.segments()?;
        let name = if segments.len() < 3 && self.peek_byte() == Some(b':') {
            self.expect(Kind::Colon)?;
            self.expect(Kind::Measurement)?;
            None
        } else {
            segments.pop()
        };
        let retention_policy = present(segments.pop());
        let database = present(segments.pop());
        Ok(Some(Target { database, retention_policy, name, span: self.since(start) }))
    }

    /// `a`, `a.b`, `a.b.c`, with empty ones for `a..c`; stops behind the dot when a regular expression or `:` follows.
    pub(super) fn segments(&mut self) -> Result<smallvec::SmallVec<[Ident; 1]>> {
        let first = self.ident()?;
        let start = first.span.start;
        let mut segments: smallvec::SmallVec<[Ident; 1]> = smallvec::SmallVec::new();
        segments.push(first);
        while self.eat_raw(Kind::Dot).is_some() {
            match self.peek_byte() {
                Some(b'/' | b':') => break,
                Some(b'.') => segments.push(Ident { name: "".into(), span: Span::new(self.pos, self.pos) }),
                _ => segments.push(self.ident()?),
            }
            if segments.len() > 64 {
                break;
            }
        }
        if segments.len() > 3 {
            let names: Vec<&str> = segments.iter().map(|segment| &*segment.name).collect();
            let message = format!("too many segments in {} at line 1, char 1", super::super::print::dotted(&names));
            return Err(Error::new(message, self.since(start)));
        }
        Ok(segments)
    }

    pub(super) fn sources(&mut self, subqueries: bool) -> Result<Vec<Source>> {
        let mut sources = Vec::with_capacity(1);
        loop {
            sources.push(self.source_item(subqueries)?);
            if self.eat(Kind::Comma).is_none() {
                return Ok(sources);
            }
        }
    }

    fn source_item(&mut self, subqueries: bool) -> Result<Source> {
        if let Some(regex) = self.regex()? {
            let span = regex.span;
            let name = MeasurementName::Regex(regex);
            return Ok(Source::Measurement(Measurement { database: None, retention_policy: None, name, span }));
        }
        if subqueries && let Some(open) = self.eat(Kind::LParen) {
            self.enter(open)?;
            let select = self.expect(Kind::Select)?;
            let select = self.select(select.start, Into::Allowed)?;
            self.expect(Kind::RParen)?;
            self.leave();
            return Ok(Source::Subquery(Box::new(select)));
        }
        Ok(Source::Measurement(self.named_measurement()?))
    }

    /// A measurement without parentheses around it.
    pub(super) fn measurement(&mut self) -> Result<Measurement> {
        match self.source_item(false)? {
            Source::Measurement(measurement) => Ok(measurement),
            Source::Subquery(select) => Err(Self::plain_error("found a subquery, expected a measurement", select.span)),
        }
    }

    fn named_measurement(&mut self) -> Result<Measurement> {
        let start = self.peek().start;
        let mut segments = self.segments()?;
        let regex = if segments.len() == 3 { None } else { self.regex()? };
        let name = match regex {
            Some(regex) => MeasurementName::Regex(regex),
            None => match segments.pop() {
                Some(name) => MeasurementName::Name(name),
                None => return Err(Self::plain_error("missing measurement", self.since(start))),
            },
        };
        let retention_policy = present(segments.pop());
        let database = present(segments.pop());
        Ok(Measurement { database, retention_policy, name, span: self.since(start) })
    }

    /// `WHERE …`, when it is there.
    pub(super) fn condition(&mut self) -> Result<Option<Expr>> {
        self.eat(Kind::Where).map(|_| self.expr()).transpose()
    }

    /// `GROUP BY …`, when it is there.
    pub(super) fn group_by(&mut self) -> Result<Vec<Dimension>> {
        let mut dimensions = Vec::new();
        if self.eat(Kind::Group).is_none() {
            return Ok(dimensions);
        }
        self.expect(Kind::By)?;
        loop {
            let dimension = match self.regex()? {
                Some(regex) => Dimension::Regex(regex),
                None => {
                    let expr = self.expr()?;
                    self.skip_space();
                    let at = expr.span();
                    dimension(expr).unwrap_or_else(|error| {
                        self.deferred.get_or_insert(error);
                        Dimension::Wildcard(at)
                    })
                }
            };
            let again = matches!(dimension, Dimension::Time { .. })
                && dimensions.iter().any(|earlier| matches!(earlier, Dimension::Time { .. }));
            if again {
                let at = self.since(self.end);
                self.deferred.get_or_insert_with(|| Error::semantic("multiple time dimensions not allowed", at));
            }
            dimensions.push(dimension);
            if self.eat_raw(Kind::Comma).is_none() {
                return Ok(dimensions);
            }
        }
    }

    /// The next expression, when it starts with the identifier `name`.
    fn clause_call(&mut self, name: &str) -> Result<Option<Expr>> {
        let token = self.peek();
        if token.kind != Kind::Ident || !self.text(token).eq_ignore_ascii_case(name) {
            return Ok(None);
        }
        self.expr().map(Some)
    }

    fn fill(&mut self) -> Result<Fill> {
        let Some(expr) = self.clause_call("fill")? else { return Ok(Fill::Default) };
        let at = expr.span();
        let Expr::Call(call) = expr else { return Err(Self::plain_error("fill must be a function call", at)) };
        let [arg] = call.args.as_slice() else {
            return Err(Self::plain_error("fill requires an argument, e.g.: 0, null, none, previous, linear", at));
        };
        match arg {
            Expr::Literal(literal) => match literal.value {
                Value::Integer(value) => return Ok(Fill::Number(Number::Integer(value))),
                Value::Float(value) => return Ok(Fill::Number(Number::Float(value))),
                _ => {}
            },
            Expr::VarRef(word) if word.cast.is_none() => match &*word.name.name {
                "null" => return Ok(Fill::Null),
                "none" => return Ok(Fill::None),
                "previous" => return Ok(Fill::Previous),
                "linear" => return Ok(Fill::Linear),
                _ => {}
            },
            _ => {}
        }
        Err(Self::plain_error("expected number argument in fill()", at))
    }

    fn timezone(&mut self) -> Result<Option<Ident>> {
        let Some(expr) = self.clause_call("tz")? else { return Ok(None) };
        let at = expr.span();
        let Expr::Call(call) = expr else { return Err(Self::plain_error("tz must be a function call", at)) };
        let [arg] = call.args.as_slice() else { return Err(Self::plain_error("tz requires exactly one argument", at)) };
        let Expr::Literal(literal) = arg else { return Err(Self::plain_error("expected string argument in tz()", at)) };
        let Value::String(name) = &literal.value else {
            return Err(Self::plain_error("expected string argument in tz()", at));
        };
        if super::super::time::zone(name).is_none() {
            return Err(Self::plain_error(format!("unable to find time zone {name}"), literal.span));
        }
        Ok(Some(Ident { name: name.clone(), span: literal.span }))
    }

    /// `ORDER BY …`, when it is there.
    pub(super) fn order_by(&mut self) -> Result<Option<OrderBy>> {
        const ONLY_TIME: &str = "only ORDER BY time supported at this time";
        let Some(start) = self.eat(Kind::Order) else { return Ok(None) };
        self.expect(Kind::By)?;
        let first = self.next();
        let mut descending = first.kind == Kind::Desc;
        match first.kind {
            Kind::Asc | Kind::Desc => {}
            Kind::Ident => {
                descending = self.direction();
                if self.text(first) != "time" {
                    return Err(Self::plain_error(ONLY_TIME, span(first)));
                }
            }
            _ => return Err(self.unexpected(first, &["identifier", "ASC", "DESC"])),
        }
        let mut more = None;
        while self.eat(Kind::Comma).is_some() {
            more = Some(self.ident()?.span);
            self.direction();
        }
        match more {
            Some(at) => Err(Self::plain_error(ONLY_TIME, at)),
            None => Ok(Some(OrderBy { descending, span: self.since(start.start) })),
        }
    }

    /// `[ASC | DESC]`: whether it is `DESC`.
    fn direction(&mut self) -> bool {
        self.eat(Kind::Asc).is_none() && self.eat(Kind::Desc).is_some()
    }

    /// `LIMIT n OFFSET n`, and `SLIMIT n SOFFSET n` where `series` are limited too.
    pub(super) fn limits(&mut self, series: bool) -> Result<Limits4> {
        let limit = self.limit(Kind::Limit)?;
        let offset = self.limit(Kind::Offset)?;
        let (mut slimit, mut soffset) = (None, None);
        if series {
            slimit = self.limit(Kind::Slimit)?;
            soffset = self.limit(Kind::Soffset)?;
        }
        Ok(Limits4 { limit, offset, slimit, soffset })
    }

    fn limit(&mut self, keyword: Kind) -> Result<Option<u64>> {
        if self.eat(keyword).is_none() {
            return Ok(None);
        }
        let (token, text) = self.integer_text()?;
        // As in 1.x, a number that is too large is the largest one.
        match text.parse::<i64>() {
            Ok(value) => match u64::try_from(value) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(self.error_at(token, &format!("{} must be >= 0", keyword.name()))),
            },
            Err(_) => Ok(Some(i64::MAX.unsigned_abs())),
        }
    }

    /// The token that 1.x blames when a continuous query lacks `GROUP BY time(…)`: the last one before the next.
    pub(super) fn last_token(&self, from: u32) -> Token {
        let mut last = self.lexer.scan(from);
        let mut pos = from;
        while pos < self.end {
            let token = self.lexer.scan(pos);
            if !matches!(token.kind, Kind::Space | Kind::Comment) {
                last = token;
            }
            pos = token.end.max(pos + 1);
        }
        last
    }
}

/// An empty segment is none: `db..name`.
fn present(segment: Option<Ident>) -> Option<Ident> {
    segment.filter(|segment| !segment.name.is_empty())
}

/// The first operator that gives a truth value, which a selected column can't have.
fn comparison(expr: &Expr) -> Option<super::super::ast::BinaryOp> {
    match expr {
        Expr::Binary(binary) if binary.op.precedence() <= 3 => Some(binary.op),
        Expr::Binary(binary) => comparison(&binary.left).or_else(|| comparison(&binary.right)),
        Expr::Paren(inner, _) => comparison(inner),
        Expr::Call(call) => call.args.iter().find_map(comparison),
        _ => None,
    }
}

/// What 1.x takes behind `GROUP BY`; it finds out only when it runs the statement.
fn dimension(mut expr: Expr) -> Result<Dimension> {
    let at = expr.span();
    while let Expr::Paren(inner, _) = expr {
        expr = *inner;
    }
    let refuse = |message: &str| Err(Error::semantic(message, at));
    let mut call = match expr {
        Expr::VarRef(tag) if tag.name.name.eq_ignore_ascii_case("time") => {
            return refuse("time() is a function and expects at least one argument");
        }
        Expr::VarRef(tag) => return Ok(Dimension::Tag(tag.name)),
        Expr::Wildcard(_, span) => return Ok(Dimension::Wildcard(span)),
        Expr::Regex(regex) => return Ok(Dimension::Regex(regex)),
        Expr::Call(call) => call,
        _ => return refuse("only time and tag dimensions allowed"),
    };
    if !call.name.name.eq_ignore_ascii_case("time") {
        return refuse("only time() calls allowed in dimensions");
    }
    let offset = if call.args.len() == 2 { call.args.pop() } else { None };
    let [interval] = call.args.as_slice() else { return refuse("time dimension expected 1 or 2 arguments") };
    let Expr::Literal(interval) = interval else { return refuse("time dimension must have duration argument") };
    let Value::Duration(interval) = interval.value else {
        return refuse("time dimension must have duration argument");
    };
    match &offset {
        None => {}
        Some(Expr::Literal(literal)) => match &literal.value {
            Value::Duration(_) => {}
            Value::String(text) if super::super::time::looks_like_time(text) => {}
            _ => return refuse("time dimension offset must be duration or now()"),
        },
        Some(Expr::Call(now)) if &*now.name.name == "now" && now.args.is_empty() => {}
        Some(Expr::Call(now)) if &*now.name.name == "now" => {
            return refuse("time dimension offset now() function requires no arguments");
        }
        Some(Expr::Call(_)) => return refuse("time dimension offset function must be now()"),
        Some(_) => return refuse("time dimension offset must be duration or now()"),
    }
    Ok(Dimension::Time { interval, offset, span: call.span })
}
