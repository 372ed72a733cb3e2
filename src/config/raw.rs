//! TOML as a tree whose every value knows its line, read key by key. Knows types, not meanings.
//!
//! A derived `Deserialize` stops at the first mistake. This reader notes each and goes on, so that a file is mended in one go; and since
//! it remembers which keys were asked for, what is left over is unknown, and the nearest known name can be suggested.

use std::{cell::RefCell, collections::BTreeSet, fmt, rc::Rc, time::Duration};

use toml::de::{DeTable, DeValue};

/// Something wrong with a configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The file's line, counted from one; absent when the problem is with nothing that stands in the file.
    pub line: Option<usize>,
    /// The key, from the root: `auth.token[0].sha256`. Empty for mistakes in the file's grammar.
    pub key: String,
    /// What is wrong, with the offending value.
    pub message: String,
}

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Where problems are collected.
#[derive(Debug)]
struct Sheet<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
    /// Every key that was asked for, from the root, without the numbers of arrays.
    asked: RefCell<BTreeSet<String>>,
}

impl Sheet<'_> {
    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
    }
}

/// A table of the file, whether it stands there or not.
#[derive(Debug)]
pub(super) struct Section<'t, 'd> {
    sheet: Rc<Sheet<'t>>,
    path: String,
    /// Offset of its head.
    at: Option<usize>,
    table: Option<&'d DeTable<'t>>,
    asked: Vec<&'static str>,
}

/// Reads `text` with `read`, which takes what it knows from the root section. All problems come back together; so do all keys that were
/// asked for.
pub(super) fn read<T>(text: &str, read: impl FnOnce(&mut Section<'_, '_>) -> T) -> Result<(T, BTreeSet<String>), Problems> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let sheet = Rc::new(Sheet { text, problems: RefCell::default(), asked: RefCell::default() });
    let mut root =
        Section { sheet: Rc::clone(&sheet), path: String::new(), at: None, table: Some(tree.get_ref()), asked: Vec::new() };
    let result = read(&mut root);
    root.finish();
    let mut problems = sheet.problems.take();
    if !errors.is_empty() {
        // A recovered tree has holes: what it lacks means nothing, nor does what stands on a broken line.
        let broken: Vec<_> = errors.iter().map(|error| error.span().map(|span| sheet.line(span.start))).collect();
        problems.retain(|problem| problem.line.is_some() && !broken.contains(&problem.line));
        problems.extend(errors.iter().zip(broken).map(|(error, line)| Problem {
            line,
            key: String::new(),
            message: error.message().replace('\n', ", "),
        }));
    }
    if problems.is_empty() {
        return Ok((result, sheet.asked.take()));
    }
    problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
    Err(Problems(problems))
}

impl<'t, 'd> Section<'t, 'd> {
    /// Whether the file has this section.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// Whether the file has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Notes a problem with `key`; it is located where the key stands, else where the section begins.
    pub(super) fn problem(&self, key: &str, message: impl Into<String>) {
        let at = self.find(key).map(|(at, _)| at).or(self.at);
        self.note(self.join(key), at, message.into());
    }

    /// A value read by `parse`, whose error says what would be right.
    pub(super) fn get<T>(&mut self, key: &'static str, parse: impl FnOnce(&DeValue<'t>) -> Result<T, String>) -> Option<T> {
        self.ask(key);
        let (at, value) = self.find(key)?;
        match parse(value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.note(self.join(key), Some(at), message);
                None
            }
        }
    }

    /// A string.
    pub(super) fn string(&mut self, key: &'static str) -> Option<String> {
        self.get(key, |value| text(value).map(str::to_owned))
    }

    /// A list of strings that `parse` makes something of; one alone is a list too.
    pub(super) fn strings<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        self.get(key, |value| match value {
            DeValue::Array(items) => items.iter().map(|item| parse(text(item.get_ref())?)).collect(),
            DeValue::String(text) => Ok(vec![parse(text)?]),
            other => Err(wrong("a string or a list of strings", other)),
        })
    }

    /// A string that `parse` makes something of.
    pub(super) fn parsed<T>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.get(key, |value| parse(text(value)?))
    }

    /// A boolean.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.get(key, |value| match value {
            DeValue::Boolean(value) => Ok(*value),
            other => Err(wrong("true or false", other)),
        })
    }

    /// A whole number within bounds.
    pub(super) fn count(&mut self, key: &'static str, bounds: std::ops::RangeInclusive<u64>) -> Option<u64> {
        self.get(key, |value| within(integer(value)?, bounds, |n| n.to_string()))
    }

    /// Bytes: a number, or a string such as `"25MB"` or `"64MiB"`.
    pub(super) fn bytes(&mut self, key: &'static str, bounds: std::ops::RangeInclusive<u64>) -> Option<u64> {
        self.get(key, |value| match value {
            DeValue::String(text) => within(parse_bytes(text)?, bounds, |n| format!("{n} bytes")),
            DeValue::Integer(_) => within(integer(value)?, bounds, |n| format!("{n} bytes")),
            other => Err(wrong("a size such as \"25MB\"", other)),
        })
    }

    /// A duration such as `"30s"` or `"1m30s"`, not zero.
    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.get(key, |value| match value {
            DeValue::String(text) => parse_duration(text),
            other => Err(wrong("a duration such as \"30s\"", other)),
        })
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        self.get(key, |value| {
            let word = text(value)?;
            words.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).ok_or_else(|| {
                let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
                let near = nearest(word, &names).map(|name| format!(", did you mean \"{name}\"?")).unwrap_or_default();
                format!("unknown value {word:?}, expected one of {}{near}", quoted(&names))
            })
        })
    }

    /// A table within this one; an absent one reads as empty.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        self.ask(key);
        let mut section =
            Self { sheet: Rc::clone(&self.sheet), path: self.join(key), at: self.at, table: None, asked: Vec::new() };
        match self.find(key) {
            Some((at, DeValue::Table(table))) => (section.at, section.table) = (Some(at), Some(table)),
            Some((at, other)) => self.note(self.join(key), Some(at), wrong(&format!("a table [{}]", self.join(key)), other)),
            None => {}
        }
        section
    }

    /// The tables of an array within this one.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Self> {
        self.ask(key);
        let path = self.join(key);
        match self.find(key) {
            Some((at, DeValue::Array(items))) => items
                .iter()
                .enumerate()
                .filter_map(|(n, item)| {
                    let (at, path) = (offset(item.span()).unwrap_or(at), format!("{path}[{n}]"));
                    if let DeValue::Table(table) = item.get_ref() {
                        Some(Self { sheet: Rc::clone(&self.sheet), path, at: Some(at), table: Some(table), asked: Vec::new() })
                    } else {
                        self.note(path, Some(at), wrong("a table", item.get_ref()));
                        None
                    }
                })
                .collect(),
            Some((at, other)) => {
                self.note(path.clone(), Some(at), wrong(&format!("tables [[{path}]]"), other));
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(&self) {
        for (key, value) in self.table.into_iter().flat_map(|table| table.iter()) {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let what = if matches!(value.get_ref(), DeValue::Table(_)) { "section" } else { "key" };
            let near = nearest(name, &self.asked).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            self.note(self.join(name), offset(key.span()), format!("unknown {what}{near}"));
        }
    }

    fn ask(&mut self, key: &'static str) {
        self.asked.push(key);
        let mut path = self.join(key);
        while let (Some(open), Some(close)) = (path.find('['), path.find(']')) {
            path.replace_range(open..=close, "");
        }
        self.sheet.asked.borrow_mut().insert(path);
    }

    fn find(&self, key: &str) -> Option<(usize, &'d DeValue<'t>)> {
        let (name, value) = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        Some((name.span().start, value.get_ref()))
    }

    fn join(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (_, true) => self.path.clone(),
            _ => format!("{}.{key}", self.path),
        }
    }

    fn note(&self, key: String, at: Option<usize>, message: String) {
        let line = at.map(|at| self.sheet.line(at));
        self.sheet.problems.borrow_mut().push(Problem { line, key, message });
    }
}

fn offset(span: std::ops::Range<usize>) -> Option<usize> {
    // Tables that exist only by implication have an empty span.
    (span.end > 0).then_some(span.start)
}

/// The string in a value.
fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    match value {
        DeValue::String(text) => Ok(text),
        other => Err(wrong("a string", other)),
    }
}

/// Says what stands where something else should.
pub(super) fn wrong(expected: &str, found: &DeValue<'_>) -> String {
    let found = match found {
        DeValue::String(text) => format!("the string {text:?}"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => format!("{value}"),
        DeValue::Datetime(time) => format!("the time {time}"),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    format!("expected {expected}, found {found}")
}

fn integer(value: &DeValue<'_>) -> Result<u64, String> {
    match value {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| format!("expected a whole number that is not negative, found {number}")),
        other => Err(wrong("a whole number", other)),
    }
}

fn within(value: u64, bounds: std::ops::RangeInclusive<u64>, show: impl Fn(u64) -> String) -> Result<u64, String> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    let (low, high) = (show(*bounds.start()), show(*bounds.end()));
    Err(if value < *bounds.start() {
        format!("must be at least {low}, not {}", show(value))
    } else {
        format!("must be at most {high}, not {}", show(value))
    })
}

/// Bytes with a decimal or binary unit; `"0"` has none.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("expected a size such as \"25MB\" or \"64MiB\", found {text:?}")),
    };
    let number: u64 = number.parse().map_err(|_| format!("expected a size such as \"25MB\" or \"64MiB\", found {text:?}"))?;
    number.checked_mul(scale).ok_or_else(|| format!("{text:?} is too much"))
}

/// A sum of `<number><unit>`, units from `ms` to `w`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a duration such as \"30s\" or \"1m30s\", found {text:?}");
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
        let (unit, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len()));
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(wrong()),
        };
        let part = number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = tail;
    }
    // Zero would mean "never" to some readers and "at once" to others.
    if total.is_zero() { Err(format!("must be more than nothing, not {text:?}")) } else { Ok(total) }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// The known name that is nearest to `word`, when it is near enough to have been meant.
fn nearest<'n>(word: &str, names: &[&'n str]) -> Option<&'n str> {
    let limit = if word.len() < 2 { 0 } else { (word.len() / 3).clamp(1, 3) };
    names
        .iter()
        .map(|name| (distance(word, name), *name))
        .filter(|(far, _)| *far <= limit)
        .min_by_key(|(far, _)| *far)
        .map(|(_, name)| name)
}

/// Edits between two words: a letter more, less or other, or two neighbours swapped. `-` and `_` count as the same.
fn distance(a: &str, b: &str) -> usize {
    let fold = |c: char| if c == '-' { '_' } else { c.to_ascii_lowercase() };
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().map(fold).collect(), b.chars().map(fold).collect());
    let mut above: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], n: usize| row.get(n).copied().unwrap_or(usize::MAX - 1);
            let mut here = (at(&row, j) + usize::from(x != y)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                here = here.min(at(&above, j - 1) + 1);
            }
            next.push(here);
        }
        above = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str, f: impl FnOnce(&mut Section<'_, '_>)) -> Vec<String> {
        read(text, f).map_or_else(|problems| problems.0.iter().map(Problem::to_string).collect(), |_| Vec::new())
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("17", 17), ("25MB", 25_000_000), ("64 MiB", 64 << 20), ("1GiB", 1 << 30), ("3kB", 3_000)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "1.5MB", "-1", "1Mb", "99999999999GB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, millis) in [("30s", 30_000), ("250ms", 250), ("1m30s", 90_000), ("1h", 3_600_000), ("2w1d", 1_296_000_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "30", "s", "1.5s", "-1s", "0s", "1 s", "99999999999999999999s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn all_problems_at_once_each_with_line_and_key() {
        let text = "[server]\nlisten = 8086\nheader_timout = \"3s\"\n\n[sevrer]\n[limits]\nbody = \"25XB\"\n";
        let found = problems(text, |root| {
            let mut server = root.section("server");
            server.string("listen");
            server.duration("header_timeout");
            server.finish();
            let mut limits = root.section("limits");
            limits.bytes("body", 0..=u64::MAX);
            limits.finish();
        });
        assert_eq!(
            found,
            [
                "line 2: server.listen: expected a string, found the number 8086",
                "line 3: server.header_timout: unknown key, did you mean `header_timeout`?",
                "line 5: sevrer: unknown section, did you mean `server`?",
                "line 7: limits.body: expected a size such as \"25MB\" or \"64MiB\", found \"25XB\"",
            ]
        );
    }

    #[test]
    fn grammar_mistakes_do_not_hide_the_others() {
        let found = problems("a = \nb = 1\nb = 2\nc = 3\n", |root| {
            root.string("a");
            root.count("b", 0..=9);
        });
        assert!(found.iter().any(|line| line.starts_with("line 1: ")), "{found:?}");
        assert!(found.iter().any(|line| line.starts_with("line 3: ") && line.contains("duplicate")), "{found:?}");
        assert!(found.contains(&"line 4: c: unknown key".to_owned()), "{found:?}");
    }

    #[test]
    fn words_have_neighbours() {
        let names = ["serverless", "v1"];
        assert_eq!(nearest("serverles", &names), Some("serverless"));
        assert_eq!(nearest("v2", &names), Some("v1"));
        assert_eq!(nearest("something", &names), None);
        assert_eq!(distance("header-timeout", "header_timeout"), 0);
        assert_eq!((distance("kitten", "sitting"), distance("gaurd", "guard"), distance("", "ab")), (3, 1, 2));
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(
            problems("n = 0\n", |root| {
                root.count("n", 1..=5);
            }),
            ["line 1: n: must be at least 1, not 0"]
        );
        assert_eq!(
            problems("n = 6\n", |root| {
                root.count("n", 1..=5);
            }),
            ["line 1: n: must be at most 5, not 6"]
        );
        assert_eq!(
            problems("n = -1\n", |root| {
                root.count("n", 1..=5);
            }),
            ["line 1: n: expected a whole number that is not negative, found -1"]
        );
        assert_eq!(problems("n = 0x4\n", |root| assert_eq!(root.count("n", 1..=5), Some(4))), Vec::<String>::new());
    }
}
