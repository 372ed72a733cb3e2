//! From text to tokens.
//!
//! A token is a kind and two byte offsets; its text is cut out of the query only when somebody asks for it, and is copied only when
//! it has escapes.

use std::borrow::Cow;

use super::token::Kind;

/// A token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// First byte.
    pub(super) start: u32,
    /// After the last byte.
    pub(super) end: u32,
    /// Where 1.x says that it stands, which isn't always its start.
    pub(super) at: u32,
    /// Its text.
    pub(super) lit: Lit,
}

/// Where a token's text is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lit {
    /// It has none.
    None,
    /// This range of the query.
    Plain(u32, u32),
    /// This range of the query, with escapes in it.
    Escaped(u32, u32),
    /// The bound parameter with this index.
    Param(u32),
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Cuts a text into tokens, from any offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'t> {
    pub(super) text: &'t str,
}

impl<'t> Lexer<'t> {
    pub(super) fn byte(self, at: u32) -> Option<u8> {
        self.text.as_bytes().get(at as usize).copied()
    }

    fn len(self) -> u32 {
        // The parser refuses texts that don't fit.
        u32::try_from(self.text.len()).unwrap_or(u32::MAX)
    }

    /// Offset of the first byte from `at` on that isn't one of those.
    fn skip(self, at: u32, of: impl Fn(u8) -> bool) -> u32 {
        let rest = self.text.as_bytes().get(at as usize..).unwrap_or_default();
        at + rest.iter().position(|byte| !of(*byte)).unwrap_or(rest.len()) as u32
    }

    /// Start of the character before `at`.
    pub(super) fn before(self, at: u32) -> u32 {
        let head = self.text.get(..at as usize).unwrap_or_default();
        let Some(last) = head.chars().next_back() else { return 0 };
        // 1.x reads CR LF as one character.
        let width = if head.ends_with("\r\n") { 2 } else { last.len_utf8() };
        at - width as u32
    }

    /// Offset after the character at `at`.
    fn after(self, at: u32) -> u32 {
        let width = self.text.get(at as usize..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        at + width as u32
    }

    /// The token that starts at `start`.
    pub(super) fn scan(self, start: u32) -> Token {
        let Some(byte) = self.byte(start) else {
            return Token { kind: Kind::Eof, start, end: start, at: start, lit: Lit::None };
        };
        let next = self.byte(start + 1);
        let (kind, width) = match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                let end = self.skip(start + 1, is_space);
                return Token { kind: Kind::Space, start, end, at: start, lit: Lit::Plain(start, end) };
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'"' => return self.word(start, start),
            b'0'..=b'9' => return self.number(start),
            b'.' if next.is_some_and(|byte| byte.is_ascii_digit()) => return self.number(start),
            b'\'' => return self.string(start, start, Kind::Str),
            b'$' => return self.parameter(start),
            b'-' if next == Some(b'-') => {
                let rest = self.text.as_bytes().get(start as usize..).unwrap_or_default();
                let end = memchr::memchr2(b'\n', b'\r', rest).map_or(self.len(), |at| start + at as u32 + 1);
                return Token { kind: Kind::Comment, start, end, at: start, lit: Lit::None };
            }
            b'/' if next == Some(b'*') => {
                let rest = self.text.as_bytes().get(start as usize + 2..).unwrap_or_default();
                let (kind, end) = match memchr::memmem::find(rest, b"*/") {
                    Some(at) => (Kind::Comment, start + 2 + at as u32 + 2),
                    None => (Kind::Illegal, self.len()),
                };
                return Token { kind, start, end, at: start, lit: Lit::None };
            }
            b'+' => (Kind::Add, 1),
            b'-' => (Kind::Sub, 1),
            b'*' => (Kind::Mul, 1),
            b'/' => (Kind::Div, 1),
            b'%' => (Kind::Mod, 1),
            b'&' => (Kind::BitAnd, 1),
            b'|' => (Kind::BitOr, 1),
            b'^' => (Kind::BitXor, 1),
            b'=' if next == Some(b'~') => (Kind::EqRegex, 2),
            b'=' => (Kind::Eq, 1),
            b'!' if next == Some(b'=') => (Kind::NotEq, 2),
            b'!' if next == Some(b'~') => (Kind::NotEqRegex, 2),
            b'>' if next == Some(b'=') => (Kind::GtEq, 2),
            b'>' => (Kind::Gt, 1),
            b'<' if next == Some(b'=') => (Kind::LtEq, 2),
            b'<' if next == Some(b'>') => (Kind::NotEq, 2),
            b'<' => (Kind::Lt, 1),
            b'(' => (Kind::LParen, 1),
            b')' => (Kind::RParen, 1),
            b',' => (Kind::Comma, 1),
            b';' => (Kind::Semicolon, 1),
            b':' if next == Some(b':') => (Kind::DoubleColon, 2),
            b':' => (Kind::Colon, 1),
            b'.' => (Kind::Dot, 1),
            _ => {
                let end = self.after(start);
                return Token { kind: Kind::Illegal, start, end, at: start, lit: Lit::Plain(start, end) };
            }
        };
        Token { kind, start, end: start + width, at: start, lit: Lit::None }
    }

    /// A keyword or an identifier. As in 1.x, what stands right before a quoted identifier is dropped: `ab"cd"` is `cd`.
    fn word(self, start: u32, from: u32) -> Token {
        let end = self.skip(from, is_word);
        if self.byte(end) == Some(b'"') {
            return self.string(start, end, Kind::Ident);
        }
        let word = self.text.get(from as usize..end as usize).unwrap_or_default();
        match Kind::keyword(word) {
            Some(kind) => Token { kind, start, end, at: start, lit: Lit::None },
            None => Token { kind: Kind::Ident, start, end, at: start, lit: Lit::Plain(from, end) },
        }
    }

    /// `$name` or `$"name"`; its text is the name.
    fn parameter(self, start: u32) -> Token {
        let end = self.skip(start + 1, is_word);
        if self.byte(end) == Some(b'"') {
            let mut token = self.string(start, end, Kind::BoundParam);
            token.at = start;
            return token;
        }
        Token { kind: Kind::BoundParam, start, end, at: start, lit: Lit::Plain(start + 1, end) }
    }

    /// A quoted string whose quote is at `quote`.
    fn string(self, start: u32, quote: u32, kind: Kind) -> Token {
        let ending = self.byte(quote).unwrap_or_default();
        let at = if kind == Kind::Str { self.before(quote) } else { start };
        let body = quote + 1;
        let mut pos = body;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(pos as usize..).unwrap_or_default();
            let found = rest.iter().position(|byte| *byte == ending || matches!(byte, b'\\' | b'\n' | b'\r'));
            let bad = |end| Token { kind: Kind::BadString, start, end, at: self.before(quote), lit: lit(escaped, body, end) };
            let Some(found) = found else { return bad(self.len()) };
            pos += found as u32;
            match self.byte(pos) {
                Some(b'\\') => match self.byte(pos + 1) {
                    Some(b'n' | b'\\' | b'"' | b'\'') => {
                        escaped = true;
                        pos += 2;
                    }
                    _ => {
                        let end = self.after(pos + 1);
                        return Token { kind: Kind::BadEscape, start, end, at: pos + 1, lit: Lit::Plain(pos, end) };
                    }
                },
                Some(b'\n' | b'\r') => return bad(pos),
                _ => return Token { kind, start, end: pos + 1, at, lit: lit(escaped, body, pos) },
            }
        }
    }

    /// A number, an integer or a duration.
    fn number(self, start: u32) -> Token {
        let token = |kind, end, to| Token { kind, start, end, at: start, lit: Lit::Plain(start, to) };
        let whole = self.skip(start, |byte| byte.is_ascii_digit());
        if self.byte(whole) == Some(b'.') {
            let end = self.skip(whole + 1, |byte| byte.is_ascii_digit());
            // In `1.` the point is part of the number, but not of its text.
            return token(Kind::Number, end, if end == whole + 1 { whole } else { end });
        }
        let mut end = whole;
        loop {
            end = self.skip(end, |byte| byte.is_ascii_alphabetic() || (end > whole && byte.is_ascii_digit()));
            if self.text.as_bytes().get(end as usize..).is_some_and(|rest| rest.starts_with("µ".as_bytes())) {
                end += "µ".len() as u32;
            } else if end > whole && self.byte(end).is_some_and(|byte| byte.is_ascii_alphanumeric()) {
                // The closure above didn't know yet that a unit had begun.
            } else {
                break;
            }
        }
        token(if end > whole { Kind::DurationVal } else { Kind::Integer }, end, end)
    }

    /// The regular expression whose slash is at `start`.
    pub(super) fn regex(self, start: u32) -> Token {
        let at = self.before(start);
        let body = start + 1;
        let mut pos = body;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(pos as usize..).unwrap_or_default();
            let Some(found) = rest.iter().position(|byte| matches!(byte, b'/' | b'\\' | b'\n' | b'\r' | 0)) else {
                return Token { kind: Kind::BadRegex, start, end: self.len(), at, lit: Lit::None };
            };
            pos += found as u32;
            match (self.byte(pos), self.byte(pos + 1)) {
                (Some(b'\\'), Some(b'/')) => {
                    escaped = true;
                    pos += 2;
                }
                (Some(b'\\'), _) => pos += 1,
                (Some(b'/'), _) => {
                    return Token { kind: Kind::Regex, start, end: pos + 1, at, lit: lit(escaped, body, pos) };
                }
                _ => return Token { kind: Kind::BadRegex, start, end: pos, at, lit: Lit::None },
            }
        }
    }

    /// A token's text; nothing for those of bound parameters, which the lexer doesn't know.
    pub(super) fn literal(self, token: Token) -> Cow<'t, str> {
        let slice = |from: u32, to: u32| self.text.get(from as usize..to as usize).unwrap_or_default();
        match token.lit {
            Lit::Plain(from, to) => Cow::Borrowed(slice(from, to)),
            Lit::Escaped(from, to) if token.kind == Kind::Regex => Cow::Owned(slice(from, to).replace("\\/", "/")),
            Lit::Escaped(from, to) => Cow::Owned(unescape(slice(from, to))),
            Lit::None | Lit::Param(_) => Cow::Borrowed(""),
        }
    }
}

fn lit(escaped: bool, from: u32, to: u32) -> Lit {
    if escaped { Lit::Escaped(from, to) } else { Lit::Plain(from, to) }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            _ => out.push(char),
        }
    }
    out
}
