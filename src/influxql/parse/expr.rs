//! Expressions, by precedence climbing.
//!
//! The tree's depth is bounded, whatever its text: nesting by the limit on it, and chains of operators of one precedence by
//! [`MAX_HEIGHT`]. Chains of `AND` and of `OR`, which generated queries make long, are free of the second: from [`FLAT`] operands on
//! they become a balanced tree, which means the same.

use super::super::ast::{Binary, BinaryOp, Call, Cast, Expr, Ident, Literal, RegexLit, Value, VarRef, WildcardKind};
use super::super::duration::parse_duration;
use super::super::lexer::Token;
use super::super::regex;
use super::super::token::Kind;
use super::{Error, Param, Parser, Result, Span, span};

/// Deepest tree. Recursion over a tree of that depth, in a debug build too, fits the 2 MiB stack of a thread.
const MAX_HEIGHT: u32 = 400;
/// Longest chain of `AND` or of `OR` that becomes a tree leaning to the left, as 1.x makes it.
const FLAT: usize = 32;

/// An expression and the depth of its tree.
struct Tree {
    expr: Expr,
    height: u32,
}

impl Tree {
    fn leaf(expr: Expr) -> Self {
        Self { expr, height: 1 }
    }

    /// A tree whose depth isn't known any more.
    fn measured(expr: Expr) -> Self {
        fn height(expr: &Expr) -> u32 {
            1 + match expr {
                Expr::Binary(binary) => height(&binary.left).max(height(&binary.right)),
                Expr::Call(call) => call.args.iter().map(height).max().unwrap_or(0),
                Expr::Paren(inner, _) => height(inner),
                _ => 0,
            }
        }
        Self { height: height(&expr), expr }
    }

    fn join(op: BinaryOp, left: Self, right: Self) -> Self {
        let height = 1 + left.height.max(right.height);
        Self { expr: Expr::Binary(Box::new(Binary { op, left: left.expr, right: right.expr })), height }
    }
}

impl Parser<'_> {
    pub(super) fn expr(&mut self) -> Result<Expr> {
        Ok(self.tree()?.expr)
    }

    fn tree(&mut self) -> Result<Tree> {
        self.binary(1)
    }

    /// Operators of at least `min` precedence.
    fn binary(&mut self, min: u8) -> Result<Tree> {
        let mut left = self.unary()?;
        loop {
            let token = self.peek();
            let Some(op) = token.kind.operator() else { return Ok(left) };
            let precedence = op.precedence();
            if precedence < min {
                return Ok(left);
            }
            if matches!(op, BinaryOp::And | BinaryOp::Or) {
                left = self.chain(op, left)?;
            } else {
                self.take(token);
                let right = match op {
                    BinaryOp::EqRegex | BinaryOp::NotEqRegex => Tree::leaf(Expr::Regex(self.required_regex()?)),
                    _ => self.binary(precedence + 1)?,
                };
                left = Tree::join(op, left, right);
            }
            if left.height > MAX_HEIGHT {
                return Err(self.error_at(token, "expression has too many operators in a row"));
            }
        }
    }

    /// `left op … op …`, where `op` is `AND` or `OR`.
    fn chain(&mut self, op: BinaryOp, mut left: Tree) -> Result<Tree> {
        let kind = if op == BinaryOp::And { Kind::And } else { Kind::Or };
        let mut count = 1;
        while count < FLAT && self.eat(kind).is_some() {
            left = Tree::join(op, left, self.binary(op.precedence() + 1)?);
            count += 1;
        }
        if self.peek().kind != kind {
            return Ok(left);
        }
        // It is a long one: take apart what leans to the left.
        let mut operands = Vec::with_capacity(2 * FLAT);
        for _ in 1..count {
            match left.expr {
                Expr::Binary(binary) => {
                    let Binary { left: rest, right, .. } = *binary;
                    operands.push(Tree::measured(right));
                    left.expr = rest;
                }
                other => left.expr = other,
            }
        }
        operands.push(Tree::measured(left.expr));
        operands.reverse();
        while self.eat(kind).is_some() {
            operands.push(self.binary(op.precedence() + 1)?);
        }
        let count = operands.len();
        balance(op, &mut operands.into_iter(), count).ok_or_else(|| Self::plain_error("missing operand", Span::default()))
    }

    fn unary(&mut self) -> Result<Tree> {
        let token = self.next();
        let literal = |value| Tree::leaf(Expr::Literal(Literal { value, span: span(token) }));
        match token.kind {
            Kind::LParen => {
                self.enter(token)?;
                let inner = self.tree()?;
                self.expect(Kind::RParen)?;
                self.leave();
                Ok(Tree { expr: Expr::Paren(Box::new(inner.expr), self.since(token.start)), height: inner.height + 1 })
            }
            Kind::Ident => {
                if self.eat_raw(Kind::LParen).is_some() {
                    let mut name = self.ident_of(token);
                    name.name.make_ascii_lowercase();
                    return self.call(name, token);
                }
                self.unscan(token);
                Ok(Tree::leaf(Expr::VarRef(self.var_ref()?)))
            }
            Kind::Distinct => {
                let next = self.scan();
                self.end = next.end;
                match next.kind {
                    Kind::LParen => {
                        let name = Ident { name: "distinct".into(), span: span(token) };
                        self.call(name, token)
                    }
                    Kind::Space => Ok(Tree::leaf(Expr::Distinct(self.ident()?))),
                    _ => Err(self.unexpected(next, &["(", "identifier"])),
                }
            }
            Kind::Str => Ok(literal(Value::String(self.text(token).into()))),
            Kind::True => Ok(literal(Value::Boolean(true))),
            Kind::False => Ok(literal(Value::Boolean(false))),
            Kind::Number => Ok(literal(Value::Float(self.float(token)?))),
            Kind::Integer => Ok(literal(self.integer(token)?)),
            Kind::DurationVal => Ok(literal(Value::Duration(self.duration_of(token)?))),
            Kind::Mul => {
                let kind = if self.eat_raw(Kind::DoubleColon).is_some() {
                    let token = self.scan();
                    self.end = token.end;
                    match token.kind {
                        Kind::Field => WildcardKind::Fields,
                        Kind::Tag => WildcardKind::Tags,
                        _ => return Err(self.unexpected(token, &["field", "tag"])),
                    }
                } else {
                    WildcardKind::All
                };
                Ok(Tree::leaf(Expr::Wildcard(kind, self.since(token.start))))
            }
            Kind::Regex => Ok(Tree::leaf(Expr::Regex(self.regex_of(token)?))),
            Kind::BoundParam => Err(self.unbound(token)),
            Kind::Add | Kind::Sub => self.signed(token),
            _ => Err(self.unexpected(token, &["identifier", "string", "number", "bool"])),
        }
    }

    /// What stands behind a sign: a literal takes it, anything else is multiplied by it.
    fn signed(&mut self, sign: Token) -> Result<Tree> {
        let token = self.peek();
        if !matches!(token.kind, Kind::Number | Kind::Integer | Kind::DurationVal | Kind::LParen | Kind::Ident) {
            self.take(token);
            return Err(self.unexpected(token, &["identifier", "number", "duration", "("]));
        }
        let negative = sign.kind == Kind::Sub;
        let mut tree = self.unary()?;
        let Expr::Literal(literal) = &mut tree.expr else {
            let factor = Value::Integer(if negative { -1 } else { 1 });
            let factor = Tree::leaf(Expr::Literal(Literal { value: factor, span: span(sign) }));
            return Ok(Tree::join(BinaryOp::Mul, factor, tree));
        };
        literal.span = self.since(sign.start);
        if negative {
            match &mut literal.value {
                Value::Float(value) => *value = -*value,
                Value::Integer(value) | Value::Duration(value) => *value = value.wrapping_neg(),
                Value::Unsigned(value) if *value == i64::MIN.unsigned_abs() => literal.value = Value::Integer(i64::MIN),
                Value::Unsigned(value) => {
                    return Err(Self::plain_error(format!("constant -{value} underflows int64"), literal.span));
                }
                Value::Boolean(_) | Value::String(_) => {}
            }
        }
        Ok(tree)
    }

    /// Arguments and closing parenthesis.
    fn call(&mut self, name: Ident, token: Token) -> Result<Tree> {
        self.enter(token)?;
        let mut args = Vec::new();
        let mut height = 0;
        match self.regex()? {
            Some(regex) => args.push(Expr::Regex(regex)),
            None if self.eat_raw(Kind::RParen).is_some() => {
                self.leave();
                let call = Call { name, args, span: self.since(token.start) };
                return Ok(Tree::leaf(Expr::Call(call)));
            }
            None => {
                let arg = self.tree()?;
                height = arg.height;
                args.push(arg.expr);
            }
        }
        while self.eat(Kind::Comma).is_some() {
            match self.regex()? {
                Some(regex) => args.push(Expr::Regex(regex)),
                None => {
                    let arg = self.tree()?;
                    height = height.max(arg.height);
                    args.push(arg.expr);
                }
            }
        }
        self.expect_raw(Kind::RParen)?;
        self.leave();
        Ok(Tree { expr: Expr::Call(Call { name, args, span: self.since(token.start) }), height: height + 1 })
    }

    /// `a`, `a.b.c`, `a::type`
    pub(super) fn var_ref(&mut self) -> Result<VarRef> {
        let mut segments = self.segments()?;
        let name = match segments.pop() {
            Some(only) if segments.is_empty() => only,
            last => {
                let names: Vec<&str> = segments.iter().chain(&last).map(|segment| &*segment.name).collect();
                let start = segments.first().map_or(0, |first| first.span.start);
                Ident { name: names.join(".").into(), span: self.since(start) }
            }
        };
        let cast = if self.eat_raw(Kind::DoubleColon).is_some() { Some(self.cast()?) } else { None };
        Ok(VarRef { name, cast })
    }

    fn cast(&mut self) -> Result<Cast> {
        let token = self.scan();
        self.end = token.end;
        match token.kind {
            Kind::Field => Ok(Cast::Field),
            Kind::Tag => Ok(Cast::Tag),
            Kind::Ident => {
                const CASTS: [(&str, Cast); 5] = [
                    ("float", Cast::Float),
                    ("integer", Cast::Integer),
                    ("unsigned", Cast::Unsigned),
                    ("string", Cast::String),
                    ("boolean", Cast::Boolean),
                ];
                let name = self.text(token);
                CASTS
                    .iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(&name))
                    .map(|(_, cast)| *cast)
                    .ok_or_else(|| self.unexpected(token, &["float", "integer", "unsigned", "string", "boolean", "field", "tag"]))
            }
            _ => Err(self.unexpected(token, &["float", "integer", "string", "boolean", "field", "tag"])),
        }
    }

    /// A regular expression, if one stands here: 1.x decides by the next character.
    pub(super) fn regex(&mut self) -> Result<Option<RegexLit>> {
        if self.peek_byte().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.skip_space();
        }
        let token = match self.peek_byte() {
            Some(b'$') => {
                let token = self.peek_raw();
                if token.kind != Kind::Regex {
                    return Ok(None);
                }
                self.scan()
            }
            // A token that was put back stands in its way: 1.x takes that for the regular expression, and complains.
            Some(b'/') => self.cache.take().unwrap_or_else(|| self.lexer.regex(self.pos)),
            _ => return Ok(None),
        };
        self.take(token);
        match token.kind {
            Kind::Regex => Ok(Some(self.regex_of(token)?)),
            Kind::BadRegex => {
                self.eof_read |= self.lexer.byte(token.end).is_none();
                Err(self.error_at(token, "bad regex: "))
            }
            _ => Err(self.unexpected(token, &["regex"])),
        }
    }

    pub(super) fn required_regex(&mut self) -> Result<RegexLit> {
        if let Some(regex) = self.regex()? {
            return Ok(regex);
        }
        let token = self.next();
        Err(self.unexpected(token, &["regex"]))
    }

    fn regex_of(&self, token: Token) -> Result<RegexLit> {
        let pattern = self.text(token);
        regex::check(&pattern).map_err(|error| self.error_at(token, &error.to_string()))?;
        Ok(RegexLit { pattern: pattern.into(), span: span(token) })
    }

    fn float(&self, token: Token) -> Result<f64> {
        if let Some(Value::Float(value)) = self.bound(token) {
            return Ok(*value);
        }
        let value: Option<f64> = self.text(token).parse().ok();
        value.filter(|value| value.is_finite()).ok_or_else(|| self.error_at(token, "unable to parse number"))
    }

    fn integer(&self, token: Token) -> Result<Value> {
        let text = self.text(token);
        match (text.parse(), text.parse()) {
            (Ok(value), _) => Ok(Value::Integer(value)),
            (_, Ok(value)) => Ok(Value::Unsigned(value)),
            _ => Err(self.error_at(token, "unable to parse integer")),
        }
    }

    pub(super) fn duration_of(&self, token: Token) -> Result<i64> {
        if let Some(Value::Duration(value)) = self.bound(token) {
            return Ok(*value);
        }
        parse_duration(&self.text(token)).map_err(|error| Self::plain_error(error.to_string(), span(token)))
    }

    /// Why a bound parameter has no value.
    fn unbound(&self, token: Token) -> Error {
        let name = self.lexer.literal(token);
        if name.is_empty() {
            return Self::plain_error("empty bound parameter", span(token));
        }
        let missing: &str = match self.params.get(&name) {
            Some(Param::Invalid(why)) => why,
            _ => &name,
        };
        Self::plain_error(format!("missing parameter: {missing}"), span(token))
    }
}

/// The next `count` operands as a tree of least depth.
fn balance(op: BinaryOp, operands: &mut impl Iterator<Item = Tree>, count: usize) -> Option<Tree> {
    if count == 1 {
        return operands.next();
    }
    let left = balance(op, operands, count / 2)?;
    let right = balance(op, operands, count - count / 2)?;
    Some(Tree::join(op, left, right))
}
