//! One pass over a regular expression: checks it, and writes what the `regex` crate understands.

use super::RegexError;

type Result<T> = std::result::Result<T, RegexError>;

/// Largest count in a repetition, in Go.
const MAX_REPEAT: u32 = 1000;
/// Deepest nesting of groups.
const MAX_DEPTH: usize = 200;

/// Where the translation goes.
pub(super) trait Sink {
    fn text(&mut self, text: &str);
    /// A character that stands for itself.
    fn char(&mut self, char: char);
}

/// For those who only want to know whether it is right.
pub(super) struct Nothing;

impl Sink for Nothing {
    fn text(&mut self, _: &str) {}
    fn char(&mut self, _: char) {}
}

impl Sink for String {
    fn text(&mut self, text: &str) {
        self.push_str(text);
    }

    fn char(&mut self, char: char) {
        if char.is_ascii_punctuation() && char != '_' && char != '<' && char != '>' {
            self.push('\\');
        }
        self.push(char);
    }
}

/// What stands before the current place.
#[derive(Clone, Copy)]
enum Before<'p> {
    /// Nothing that can be repeated.
    Nothing,
    /// Something that can.
    Atom,
    /// A repetition: the pattern from there on.
    Repetition(&'p str),
}

fn syntax<T>(why: &'static str, part: &str) -> Result<T> {
    Err(RegexError::Syntax(why, part.into()))
}

/// The part of `from` before `rest`, which is its end.
fn upto<'p>(from: &'p str, rest: &str) -> &'p str {
    from.get(..from.len().saturating_sub(rest.len())).unwrap_or_default()
}

pub(super) fn walk(pattern: &str, out: &mut impl Sink) -> Result<()> {
    let mut rest = pattern;
    let mut before = Before::Nothing;
    let mut depth = 0_usize;
    while let Some(first) = rest.chars().next() {
        let here = rest;
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
        match first {
            '(' => {
                if here.starts_with("(?") {
                    let (after, opens) = group(here, out)?;
                    rest = after;
                    if !opens {
                        continue;
                    }
                } else {
                    out.text("(");
                }
                depth += 1;
                if depth > MAX_DEPTH {
                    return syntax("expression nests too deeply", pattern);
                }
                before = Before::Nothing;
            }
            ')' => {
                if depth == 0 {
                    return syntax("unexpected )", pattern);
                }
                depth -= 1;
                out.text(")");
                before = Before::Atom;
            }
            '|' => {
                out.text("|");
                before = Before::Nothing;
            }
            '*' | '+' | '?' => {
                rest = rest.strip_prefix('?').unwrap_or(rest);
                before = repetition(before, here, rest)?;
                out.text(upto(here, rest));
            }
            '{' => match counts(rest) {
                Some((min, max, after)) => {
                    let shown = upto(here, after);
                    rest = after.strip_prefix('?').unwrap_or(after);
                    if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || min > max) {
                        return syntax("invalid repeat count", shown);
                    }
                    before = repetition(before, here, rest)?;
                    out.text(upto(here, rest));
                }
                None => {
                    out.char('{');
                    before = Before::Atom;
                }
            },
            '[' => {
                rest = class(here, out)?;
                before = Before::Atom;
            }
            '^' | '$' | '.' => {
                out.text(upto(here, rest));
                before = Before::Atom;
            }
            '\\' => {
                rest = escape(here, out)?;
                // Nothing was quoted.
                if upto(here, rest) != "\\Q\\E" {
                    before = Before::Atom;
                }
            }
            other => {
                out.char(other);
                before = Before::Atom;
            }
        }
    }
    if depth > 0 { syntax("missing closing )", pattern) } else { Ok(()) }
}

fn repetition<'p>(before: Before<'p>, here: &'p str, rest: &str) -> Result<Before<'p>> {
    match before {
        Before::Nothing => syntax("missing argument to repetition operator", upto(here, rest)),
        Before::Atom => Ok(Before::Repetition(here)),
        Before::Repetition(first) => syntax("invalid nested repetition operator", upto(first, rest)),
    }
}

/// `n}`, `n,}` or `n,m}`, and what follows.
fn counts(text: &str) -> Option<(u32, Option<u32>, &str)> {
    let (min, rest) = count(text)?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((min, Some(min), rest));
    }
    let rest = rest.strip_prefix(',')?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((min, None, rest));
    }
    let (max, rest) = count(rest)?;
    Some((min, Some(max), rest.strip_prefix('}')?))
}

fn count(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits)?;
    if number.is_empty() || (number.len() > 1 && number.starts_with('0')) {
        return None;
    }
    Some((number.parse().unwrap_or(u32::MAX), rest))
}

/// `(?…`: what follows, and whether a group was opened.
fn group<'p>(here: &'p str, out: &mut impl Sink) -> Result<(&'p str, bool)> {
    if here.starts_with("(?P<") {
        let Some(end) = here.find('>') else { return syntax("invalid named capture", here) };
        let (capture, rest) = (here.get(..=end).unwrap_or_default(), here.get(end + 1..).unwrap_or_default());
        let name = here.get(4..end).unwrap_or_default();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return syntax("invalid named capture", capture);
        }
        // Names mean nothing to InfluxQL, and the crate doesn't take all of them.
        out.text("(");
        return Ok((rest, true));
    }
    let flags = here.get(2..).unwrap_or_default();
    let (mut negated, mut any) = (false, false);
    for (at, flag) in flags.char_indices() {
        let rest = flags.get(at + flag.len_utf8()..).unwrap_or_default();
        match flag {
            'i' | 'm' | 's' | 'U' => any = true,
            '-' if !negated => (negated, any) = (true, false),
            ':' | ')' if any || !negated => {
                // `(?)` does nothing, and the crate refuses it.
                if any || flag == ':' {
                    out.text(upto(here, rest));
                }
                return Ok((rest, flag == ':'));
            }
            _ => return syntax("invalid or unsupported Perl syntax", upto(here, rest)),
        }
    }
    syntax("invalid or unsupported Perl syntax", here)
}

/// A character that an escape stands for, and what follows; none for escapes that stand for more.
fn escaped_char(here: &str) -> Result<(char, &str)> {
    let mut chars = here.get(1..).unwrap_or_default().chars();
    let Some(first) = chars.next() else { return syntax("trailing backslash at end of expression", "") };
    let rest = chars.as_str();
    let all = here.get(1..).unwrap_or_default();
    let found = match first {
        '1'..='7' if rest.starts_with(|next: char| ('0'..='7').contains(&next)) => octal(all),
        '0' => octal(all),
        'x' => return hexadecimal(here, rest),
        'a' => Some(('\u{7}', rest)),
        'f' => Some(('\u{c}', rest)),
        'n' => Some(('\n', rest)),
        'r' => Some(('\r', rest)),
        't' => Some(('\t', rest)),
        'v' => Some(('\u{b}', rest)),
        other if other.is_ascii() && !other.is_ascii_alphanumeric() => Some((other, rest)),
        _ => None,
    };
    found.map_or_else(|| syntax("invalid escape sequence", upto(here, rest)), Ok)
}

/// Up to three octal digits.
fn octal(text: &str) -> Option<(char, &str)> {
    let len = text.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    let (digits, rest) = text.split_at_checked(len)?;
    Some((char::from_u32(u32::from_str_radix(digits, 8).ok()?)?, rest))
}

/// What follows `\x`: two digits, or any number of them in braces.
fn hexadecimal<'p>(here: &'p str, after: &'p str) -> Result<(char, &'p str)> {
    let mut chars = after.chars();
    let mut code: u32 = 0;
    let mut add = |digit: Option<char>| {
        code = code.checked_mul(16)?.checked_add(digit?.to_digit(16)?)?;
        char::from_u32(code).or_else(|| (code < 0x11_0000).then_some(char::REPLACEMENT_CHARACTER))
    };
    let mut found = None;
    if after.starts_with('{') {
        chars.next();
        loop {
            let next = chars.next();
            if next == Some('}') {
                break;
            }
            found = add(next);
            if found.is_none() {
                break;
            }
        }
    } else if let Some(first) = chars.next() {
        let first = add(Some(first));
        let second = chars.next();
        found = first.and_then(|_| add(second));
    }
    found.map_or_else(|| syntax("invalid escape sequence", upto(here, chars.as_str())), |char| Ok((char, chars.as_str())))
}

/// The members of `\d`, `\s`, `\w`, which are ASCII in Go; `class` is the letter in lower case.
const fn members(class: u8) -> Option<&'static str> {
    match class {
        b'd' => Some("0-9"),
        b's' => Some("\\t\\n\\f\\r "),
        b'w' => Some("0-9A-Za-z_"),
        _ => None,
    }
}

/// `\d`, `\D` and so on: their members, and whether they are negated.
fn perl_class(here: &str) -> Option<(&'static str, bool, &str)> {
    let letter = *here.as_bytes().get(1)?;
    let set = members(letter.to_ascii_lowercase())?;
    Some((set, letter.is_ascii_uppercase(), here.get(2..)?))
}

/// `\pL`, `\p{Greek}`, `\P{^Greek}`: what follows, if that is what stands here.
fn unicode_class<'p>(here: &'p str, out: &mut impl Sink) -> Result<Option<&'p str>> {
    if !here.starts_with("\\p") && !here.starts_with("\\P") {
        return Ok(None);
    }
    let mut negated = here.starts_with("\\P");
    let tail = here.get(2..).unwrap_or_default();
    let (name, rest) = match tail.strip_prefix('{') {
        Some(braced) => match braced.split_once('}') {
            Some(found) => found,
            None => return syntax("invalid character class range", here),
        },
        None => match tail.chars().next() {
            Some(letter) => tail.split_at(letter.len_utf8()),
            None => return syntax("invalid character class range", here),
        },
    };
    let plain = name.strip_prefix('^');
    negated ^= plain.is_some();
    let name = plain.unwrap_or(name);
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
        return syntax("invalid character class range", upto(here, rest));
    }
    out.text(if negated { "\\P{" } else { "\\p{" });
    out.text(name);
    out.text("}");
    Ok(Some(rest))
}

/// An escape outside of a class.
fn escape<'p>(here: &'p str, out: &mut impl Sink) -> Result<&'p str> {
    if let Some((set, negated, rest)) = perl_class(here) {
        out.text(if negated { "[^" } else { "[" });
        out.text(set);
        out.text("]");
        return Ok(rest);
    }
    if let Some(rest) = unicode_class(here, out)? {
        return Ok(rest);
    }
    let rest = here.get(2..).unwrap_or_default();
    match here.as_bytes().get(1) {
        Some(b'A') => out.text("\\A"),
        Some(b'z') => out.text("\\z"),
        Some(b'b') => out.text("(?-u:\\b)"),
        // The crate has no ASCII form of this one for texts.
        Some(b'B') => out.text("\\B"),
        Some(b'Q') => {
            let (literal, rest) = rest.split_once("\\E").unwrap_or((rest, ""));
            literal.chars().for_each(|char| out.char(char));
            return Ok(rest);
        }
        _ => {
            let (char, rest) = escaped_char(here)?;
            out.char(char);
            return Ok(rest);
        }
    }
    Ok(rest)
}

/// A class in brackets.
fn class<'p>(here: &'p str, out: &mut impl Sink) -> Result<&'p str> {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
        "xdigit",
    ];
    let mut rest = here.get(1..).unwrap_or_default();
    out.text("[");
    if let Some(after) = rest.strip_prefix('^') {
        out.text("^");
        rest = after;
    }
    let mut first = true;
    loop {
        if rest.is_empty() {
            return syntax("missing closing ]", here);
        }
        if !first && let Some(after) = rest.strip_prefix(']') {
            out.text("]");
            return Ok(after);
        }
        first = false;
        if rest.starts_with("[:")
            && let Some(end) = rest.find(":]")
        {
            let (named, after) = rest.split_at(end + 2);
            let name = named.get(2..end).unwrap_or_default();
            if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                return syntax("invalid character class range", named);
            }
            out.text(named);
            rest = after;
            continue;
        }
        if rest.starts_with('\\') {
            if let Some((set, negated, after)) = perl_class(rest) {
                out.text(if negated { "[^" } else { "" });
                out.text(set);
                out.text(if negated { "]" } else { "" });
                rest = after;
                continue;
            }
            if let Some(after) = unicode_class(rest, out)? {
                rest = after;
                continue;
            }
        }
        let start = rest;
        let (low, after) = class_char(here, rest)?;
        rest = after;
        out.char(low);
        if rest.starts_with('-') && rest.len() > 1 && !rest.starts_with("-]") {
            let (high, after) = class_char(here, rest.get(1..).unwrap_or_default())?;
            rest = after;
            if high < low {
                return syntax("invalid character class range", upto(start, rest));
            }
            out.text("-");
            out.char(high);
        }
    }
}

fn class_char<'p>(class: &str, rest: &'p str) -> Result<(char, &'p str)> {
    match rest.chars().next() {
        Some('\\') => escaped_char(rest),
        Some(char) => Ok((char, rest.get(char.len_utf8()..).unwrap_or_default())),
        None => syntax("missing closing ]", class),
    }
}
