//! Recursive descent over tokens, clause by clause in the order in which 1.x reads them.
//!
//! 1.x's messages are part of its interface, so this follows its reader where that shows: it puts tokens back one by one (here: the
//! offset goes back and the token stays cached), it looks at the next character before it reads a regular expression, and the end of
//! the text counts as one more character once it was read.

mod expr;
mod manage;
mod select;
mod show;

use std::borrow::Cow;

use super::ast::{Ident, Statement, StatementKind};
use super::lexer::{Lexer, Lit, Token};
use super::token::Kind;
use super::{Error, Limits, Param, Params, Span, ast};

type Result<T> = std::result::Result<T, Error>;

/// A query, parsed: what 1.x finds wrong only when it runs a statement stands beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// All statements. One with a mistake isn't whole: what its `GROUP BY` says is missing.
    pub statements: Vec<Statement>,
    /// The first mistake of a statement, by its number; each [is semantic](Error::is_semantic).
    pub mistakes: Vec<(usize, Error)>,
}

/// Parses all statements of a query.
///
/// # Errors
/// As [`parse_all`], and the first mistake of meaning.
pub fn parse(text: &str, params: &Params, limits: Limits) -> Result<Vec<Statement>> {
    let parsed = parse_all(text, params, limits)?;
    parsed.mistakes.into_iter().next().map_or(Ok(parsed.statements), |(_, mistake)| Err(mistake))
}

/// Parses all statements of a query, and goes on where 1.x would only have noticed a mistake in running it.
///
/// # Errors
/// The first mistake of grammar, in 1.x's words: `found EOF, expected identifier at line 1, char 15` (1.x's prefix `error parsing query: ` is in
/// its `Display`); and a text that is longer or deeper than `limits` allow.
pub fn parse_all(text: &str, params: &Params, limits: Limits) -> Result<Parsed> {
    let max_len = limits.max_len.min(u32::MAX as usize / 2);
    if text.len() > max_len {
        let message = format!("query is too long: {} bytes, at most {max_len} are allowed", text.len());
        return Err(Error::new(message, Span::default()));
    }
    // 1.x's HTTP handler trims the query before it is parsed, and so counts from the first character that is left.
    let trimmed = text.trim_end();
    let origin = u32::try_from(trimmed.len() - trimmed.trim_start().len()).unwrap_or_default();
    let mut parser = Parser {
        lexer: Lexer { text: trimmed },
        origin,
        params,
        limits,
        depth: 0,
        pos: origin,
        cache: None,
        end: origin,
        eof_read: false,
        eof_at: None,
        deferred: None,
    };
    parser.query()
}

pub(super) struct Parser<'t> {
    lexer: Lexer<'t>,
    /// Where the text begins, spaces aside.
    origin: u32,
    params: &'t Params,
    limits: Limits,
    /// How many parentheses, calls and subqueries are open.
    depth: usize,
    /// Offset of the next token.
    pos: u32,
    /// The token at `pos`, when it was read and put back.
    cache: Option<Token>,
    /// End of the last token taken that is neither space nor comment.
    end: u32,
    /// Whether the end of the text was read: 1.x then reports it one character later.
    eof_read: bool,
    /// How many characters after the text 1.x says its end is.
    eof_at: Option<u32>,
    /// The first mistake of this statement that 1.x sees only when it runs it: mistakes in the rest of the text come before it.
    deferred: Option<Error>,
}

impl<'t> Parser<'t> {
    // Tokens.

    /// The next token, spaces and comments included.
    fn scan(&mut self) -> Token {
        let token = match self.cache.take() {
            Some(token) => token,
            None => self.read(),
        };
        self.pos = token.end;
        token
    }

    fn read(&mut self) -> Token {
        let mut token = self.lexer.scan(self.pos);
        match token.kind {
            Kind::Eof => {
                let read = std::mem::replace(&mut self.eof_read, true);
                self.eof_at.get_or_insert_with(|| u32::from(read));
            }
            // A comment between `/*` and `*/` is over before the text is.
            Kind::Comment if self.lexer.byte(token.start) == Some(b'/') => {}
            Kind::Space | Kind::Comment | Kind::BadString => self.touch_end(token.end),
            Kind::Ident | Kind::BoundParam => {
                if self.lexer.byte(token.end.saturating_sub(1)) != Some(b'"') {
                    self.touch_end(token.end);
                }
                if token.kind == Kind::BoundParam {
                    self.substitute(&mut token);
                }
            }
            kind if kind as u8 >= Kind::True as u8 => self.touch_end(token.end),
            _ => {}
        }
        token
    }

    fn touch_end(&mut self, end: u32) {
        self.eof_read |= self.lexer.byte(end).is_none();
    }

    /// Replaces a bound parameter by what its value is as a token, if it has one.
    fn substitute(&self, token: &mut Token) {
        let name = self.lexer.literal(*token);
        let Some(index) = self.params.position(&name) else { return };
        let Some((_, param)) = self.params.0.get(index) else { return };
        token.kind = match param {
            Param::Identifier(_) => Kind::Ident,
            Param::Regex(_) => Kind::Regex,
            Param::Invalid(_) => return,
            Param::Value(ast::Value::Boolean(true)) => Kind::True,
            Param::Value(ast::Value::Boolean(false)) => Kind::False,
            Param::Value(ast::Value::Duration(_)) => Kind::DurationVal,
            Param::Value(ast::Value::Float(_)) => Kind::Number,
            Param::Value(ast::Value::Integer(_) | ast::Value::Unsigned(_)) => Kind::Integer,
            Param::Value(ast::Value::String(_)) => Kind::Str,
        };
        token.lit = Lit::Param(u32::try_from(index).unwrap_or(u32::MAX));
    }

    /// Puts `token` back; it must be the one last read.
    fn unscan(&mut self, token: Token) {
        self.pos = token.start;
        self.cache = Some(token);
    }

    /// Looks at the next token, spaces and comments included.
    fn peek_raw(&mut self) -> Token {
        let token = self.scan();
        self.unscan(token);
        token
    }

    /// Skips spaces and comments and looks at the token behind them.
    fn peek(&mut self) -> Token {
        loop {
            let token = self.scan();
            if !matches!(token.kind, Kind::Space | Kind::Comment) {
                self.unscan(token);
                return token;
            }
        }
    }

    /// Takes the next token that is neither space nor comment.
    fn next(&mut self) -> Token {
        let token = self.peek();
        self.take(token);
        token
    }

    /// Takes a token that was looked at.
    fn take(&mut self, token: Token) {
        self.cache = None;
        self.pos = token.end;
        self.end = token.end;
    }

    /// Takes the next token if it is `kind`.
    fn eat(&mut self, kind: Kind) -> Option<Token> {
        let token = self.peek();
        (token.kind == kind).then(|| {
            self.take(token);
            token
        })
    }

    /// Like [`Self::eat`], but nothing may stand before it.
    fn eat_raw(&mut self, kind: Kind) -> Option<Token> {
        let token = self.peek_raw();
        (token.kind == kind).then(|| {
            self.take(token);
            token
        })
    }

    fn expect(&mut self, kind: Kind) -> Result<Token> {
        let token = self.next();
        if token.kind == kind { Ok(token) } else { Err(self.unexpected(token, &[kind.name()])) }
    }

    fn expect_raw(&mut self, kind: Kind) -> Result<Token> {
        let token = self.scan();
        self.end = token.end;
        if token.kind == kind { Ok(token) } else { Err(self.unexpected(token, &[kind.name()])) }
    }

    /// The next character that 1.x's reader would give, which is behind a token that was put back.
    fn peek_byte(&mut self) -> Option<u8> {
        let at = self.cache.map_or(self.pos, |token| token.end);
        let byte = self.lexer.byte(at);
        self.eof_read |= byte.is_none();
        byte
    }

    fn skip_space(&mut self) {
        let token = self.scan();
        if token.kind != Kind::Space {
            self.unscan(token);
        }
    }

    // Texts and messages.

    fn text(&self, token: Token) -> Cow<'t, str> {
        let Lit::Param(index) = token.lit else { return self.lexer.literal(token) };
        match self.params.0.get(index as usize) {
            Some((_, Param::Identifier(text) | Param::Regex(text) | Param::Value(ast::Value::String(text)))) => {
                Cow::Borrowed(text)
            }
            Some((_, Param::Value(value))) => Cow::Owned(value.to_string()),
            _ => Cow::Borrowed(""),
        }
    }

    /// The value bound to `token`, when it stands for a parameter.
    fn bound(&self, token: Token) -> Option<&'t ast::Value> {
        let Lit::Param(index) = token.lit else { return None };
        match self.params.0.get(index as usize) {
            Some((_, Param::Value(value))) => Some(value),
            _ => None,
        }
    }

    fn ident_of(&self, token: Token) -> Ident {
        Ident { name: self.text(token).into(), span: span(token) }
    }

    /// `found X, expected A, B at line L, char C`
    #[cold]
    fn unexpected(&self, token: Token, expected: &[&str]) -> Error {
        let text = self.text(token);
        let broken = matches!(token.kind, Kind::BadString | Kind::BadEscape) && self.lexer.byte(token.start) == Some(b'$');
        let dollar = if token.kind == Kind::BoundParam || broken { "$" } else { "" };
        let invalid = match (token.kind, self.params.get(&text)) {
            // As in 1.x, which reads the reason where the value should be.
            (Kind::BoundParam, Some(Param::Invalid(why))) => Some(&**why),
            (Kind::True | Kind::False, _) => Some(token.kind.name()),
            _ => None,
        };
        let found = match invalid {
            Some(invalid) => invalid,
            None if text.is_empty() => token.kind.name(),
            None => &text,
        };
        let dollar = if invalid.is_some() { "" } else { dollar };
        self.error_at(token, &format!("found {dollar}{found}, expected {}", expected.join(", ")))
    }

    /// `message at line L, char C`
    #[cold]
    fn error_at(&self, token: Token, message: &str) -> Error {
        let (line, char) = self.place(token);
        Error::new(format!("{message} at line {line}, char {char}"), span(token))
    }

    /// Line and character where 1.x says that `token` is, both from 1.
    fn place(&self, token: Token) -> (usize, usize) {
        let head = self.lexer.text.get(self.origin as usize..token.at as usize).unwrap_or_default();
        let (mut line, mut char) = (1, 1);
        let mut chars = head.chars().peekable();
        while let Some(next) = chars.next() {
            if next == '\r' {
                chars.next_if_eq(&'\n');
            }
            if matches!(next, '\n' | '\r') {
                line += 1;
                char = 1;
            } else {
                char += 1;
            }
        }
        if token.kind == Kind::Eof {
            char += self.eof_at.unwrap_or_default() as usize;
        }
        (line, char)
    }

    /// A message of 1.x's that has no place.
    #[cold]
    fn plain_error(message: impl Into<Box<str>>, at: Span) -> Error {
        Error::new(message, at)
    }

    /// One level deeper, or an error when that is too deep.
    fn enter(&mut self, token: Token) -> Result<()> {
        self.depth += 1;
        if self.depth > self.limits.max_depth {
            let message = format!("query is nested too deeply: at most {} levels are allowed", self.limits.max_depth);
            return Err(self.error_at(token, &message));
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// From `start` to the end of what was read.
    fn since(&self, start: u32) -> Span {
        Span::new(start, self.end.max(start))
    }

    // What many statements share.

    fn ident(&mut self) -> Result<Ident> {
        let token = self.next();
        if token.kind == Kind::Ident { Ok(self.ident_of(token)) } else { Err(self.unexpected(token, &["identifier"])) }
    }

    fn ident_list(&mut self) -> Result<Vec<Ident>> {
        let mut idents = vec![self.ident()?];
        while self.eat(Kind::Comma).is_some() {
            idents.push(self.ident()?);
        }
        Ok(idents)
    }

    fn string(&mut self) -> Result<Box<str>> {
        let token = self.next();
        if token.kind == Kind::Str { Ok(self.text(token).into()) } else { Err(self.unexpected(token, &["string"])) }
    }

    /// An integer, as the text that it has.
    fn integer_text(&mut self) -> Result<(Token, Cow<'t, str>)> {
        let token = self.next();
        if token.kind == Kind::Integer { Ok((token, self.text(token))) } else { Err(self.unexpected(token, &["integer"])) }
    }

    /// `ON name`, when it is there.
    fn on(&mut self) -> Result<Option<Ident>> {
        self.eat(Kind::On).map(|_| self.ident()).transpose()
    }

    // Statements.

    fn query(&mut self) -> Result<Parsed> {
        let mut statements = Vec::new();
        let mut mistakes = Vec::new();
        let mut separated = true;
        loop {
            let token = self.peek();
            match token.kind {
                Kind::Eof => return Ok(Parsed { statements, mistakes }),
                Kind::Semicolon => {
                    self.take(token);
                    separated = true;
                }
                _ if !separated => return Err(self.unexpected(token, &[";"])),
                _ => {
                    let kind = self.statement()?;
                    mistakes.extend(self.deferred.take().map(|mistake| (statements.len(), mistake)));
                    statements.push(Statement { kind, span: self.since(token.start) });
                    separated = false;
                }
            }
        }
    }

    fn statement(&mut self) -> Result<StatementKind> {
        let token = self.next();
        match token.kind {
            Kind::Select => Ok(StatementKind::Select(Box::new(self.select(token.start, select::Into::Allowed)?))),
            Kind::Delete => self.delete(),
            Kind::Show => Ok(StatementKind::Show(Box::new(self.show()?))),
            Kind::Create => self.create(),
            Kind::Drop => self.drop_statement(),
            Kind::Explain => self.explain(),
            Kind::Grant => self.grant(),
            Kind::Revoke => self.revoke(),
            Kind::Alter => self.alter(),
            Kind::Set => self.set_password(),
            Kind::Kill => self.kill(),
            _ => Err(self.unexpected(
                token,
                &["SELECT", "DELETE", "SHOW", "CREATE", "DROP", "EXPLAIN", "GRANT", "REVOKE", "ALTER", "SET", "KILL"],
            )),
        }
    }
}

fn span(token: Token) -> Span {
    Span::new(token.start, token.end)
}
