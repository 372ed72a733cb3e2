//! `WHERE` of the statements that 1.x answers from its index: which series of a measurement it leaves. The index knows tags alone, so that
//! what can't be said of tags holds for all series there; points are never read.

use std::sync::Arc;

use regex::Regex;

use crate::{
    embedded::query::{describe, pattern},
    error::Error,
    influxql::{
        Span,
        ast::{Binary, BinaryOp, Cast, Expr, Literal, Value},
    },
};

/// The measurement's name, as if it were a tag.
pub(super) const NAME: &str = "_name";
/// The key of a tag, as if it were a tag.
pub(super) const TAG_KEY: &str = "_tagKey";

/// A condition on the tags of one series.
#[derive(Debug)]
pub(super) enum Filter {
    All,
    None,
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Name(Test),
    Tag(Box<str>, Test),
    /// The series has both tags, or the first one alone, whatever their values.
    Pair {
        left: Box<str>,
        right: Box<str>,
        both: bool,
    },
}

/// What a value is compared with.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Text { text: Box<str>, negated: bool },
    Regex { regex: Arc<Regex>, negated: bool },
}

impl Test {
    /// Of a comparison's operator and right side; `None` when that is neither a text nor, with `=~`, a pattern.
    pub(super) fn new(op: BinaryOp, value: &Expr) -> Result<Option<Self>, Error> {
        let negated = matches!(op, BinaryOp::NotEq | BinaryOp::NotEqRegex);
        Ok(match value {
            Expr::Literal(Literal { value: Value::String(text), .. }) => Some(Self::Text { text: text.clone(), negated }),
            Expr::Regex(regex) => Some(Self::Regex { regex: pattern::compile(&regex.pattern)?, negated }),
            _ => None,
        })
    }

    pub(super) const fn is_negated(&self) -> bool {
        match self {
            Self::Text { negated, .. } | Self::Regex { negated, .. } => *negated,
        }
    }

    /// Whether it holds for a value; empty: missing.
    pub(super) fn holds(&self, value: &str) -> bool {
        self.equals(value) != self.is_negated()
    }

    /// Whether the value is the text, or matches; negated or not.
    pub(super) fn equals(&self, value: &str) -> bool {
        match self {
            Self::Text { text, .. } => **text == *value,
            Self::Regex { regex, .. } => regex.is_match(value),
        }
    }
}

impl Filter {
    /// Of a condition without times. `unknown` tells names about which the index can say nothing: they hold for every series.
    pub(super) fn new(condition: &Expr, unknown: &dyn Fn(&str, Option<Cast>) -> bool) -> Result<Self, Error> {
        Ok(match condition {
            Expr::Binary(binary) => match binary.op {
                BinaryOp::And | BinaryOp::Or => {
                    let (left, right) =
                        (Box::new(Self::new(&binary.left, unknown)?), Box::new(Self::new(&binary.right, unknown)?));
                    if binary.op == BinaryOp::And { Self::And(left, right) } else { Self::Or(left, right) }
                }
                op => comparison(op, binary, unknown)?,
            },
            Expr::Paren(inner, _) => Self::new(inner, unknown)?,
            Expr::Literal(Literal { value: Value::Boolean(true), .. }) => Self::All,
            _ => Self::None,
        })
    }

    /// Whether it holds for a series of the measurement `name` with these tags (empty: missing).
    pub(super) fn holds<'a>(&self, name: &str, tag: &impl Fn(&str) -> &'a str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::And(left, right) => left.holds(name, tag) && right.holds(name, tag),
            Self::Or(left, right) => left.holds(name, tag) || right.holds(name, tag),
            Self::Name(test) => test.holds(name),
            Self::Tag(key, test) => test.holds(tag(key)),
            Self::Pair { left, right, both } => !tag(left).is_empty() && tag(right).is_empty() != *both,
        }
    }
}

fn comparison(op: BinaryOp, binary: &Binary, unknown: &dyn Fn(&str, Option<Cast>) -> bool) -> Result<Filter, Error> {
    let (left, right) = (reduced(&binary.left), reduced(&binary.right));
    let (key, value) = match (&left, &right) {
        (Expr::VarRef(key), value) => (key, value),
        (value, Expr::VarRef(key)) => (key, value),
        _ => return Ok(Filter::All),
    };
    let name = &*key.name.name;
    if name != NAME && unknown(name, key.cast) {
        return Ok(Filter::All);
    }
    Ok(match (value, Test::new(op, value)?) {
        (Expr::VarRef(other), _) if unknown(&other.name.name, other.cast) => Filter::All,
        (_, Some(test)) if name == NAME => Filter::Name(test),
        (_, Some(test)) => Filter::Tag(name.into(), test),
        (Expr::VarRef(other), None) => {
            Filter::Pair { left: name.into(), right: other.name.name.clone(), both: op == BinaryOp::Eq }
        }
        _ => Filter::All,
    })
}

/// An operand without its parentheses; texts that are added are one.
fn reduced(expr: &Expr) -> Expr {
    match expr {
        Expr::Paren(inner, _) => reduced(inner),
        Expr::Binary(binary) if binary.op == BinaryOp::Add => match (reduced(&binary.left), reduced(&binary.right)) {
            (
                Expr::Literal(Literal { value: Value::String(left), span }),
                Expr::Literal(Literal { value: Value::String(right), .. }),
            ) => Expr::Literal(Literal { value: Value::String(format!("{left}{right}").into()), span }),
            _ => expr.clone(),
        },
        other => other.clone(),
    }
}

/// What is left of a condition when only the comparisons that `keep` tells by the name on their left side stay. Others than `=`, `!=`,
/// `=~` and `!~` are not looked at: they stay.
pub(super) fn only(condition: &Expr, keep: &dyn Fn(&str) -> bool) -> Option<Expr> {
    match condition {
        Expr::Binary(binary) => match binary.op {
            BinaryOp::And | BinaryOp::Or => match (only(&binary.left, keep), only(&binary.right, keep)) {
                (Some(left), Some(right)) => Some(Expr::Binary(Box::new(Binary { op: binary.op, left, right }))),
                (left, right) => left.or(right),
            },
            BinaryOp::Eq | BinaryOp::NotEq | BinaryOp::EqRegex | BinaryOp::NotEqRegex => match &binary.left {
                Expr::VarRef(reference) if keep(&reference.name.name) => Some(condition.clone()),
                _ => None,
            },
            _ => Some(condition.clone()),
        },
        Expr::Paren(inner, span) => only(inner, keep).map(|inner| Expr::Paren(Box::new(inner), *span)),
        other => Some(other.clone()),
    }
}

/// A condition with its constants worked out; nothing when it always holds.
pub(super) fn reduce(condition: Expr) -> Option<Expr> {
    Some(constants(condition)).filter(|condition| truth(condition) != Some(true))
}

fn truth(condition: &Expr) -> Option<bool> {
    match condition {
        Expr::Literal(Literal { value: Value::Boolean(value), .. }) => Some(*value),
        _ => None,
    }
}

fn constants(condition: Expr) -> Expr {
    let Expr::Binary(binary) = condition else { return condition };
    let boolean = |value| Expr::Literal(Literal { value: Value::Boolean(value), span: Span::default() });
    match (binary.op, &binary.left, &binary.right) {
        (BinaryOp::And | BinaryOp::Or, ..) => {
            let Binary { op, left, right } = *binary;
            let (left, right) = (constants(left), constants(right));
            // What ends it at once: `false AND …`, `true OR …`.
            let end = op == BinaryOp::Or;
            match (truth(&left), truth(&right)) {
                (Some(value), _) | (_, Some(value)) if value == end => boolean(end),
                (Some(_), _) => right,
                (_, Some(_)) => left,
                _ => Expr::Binary(Box::new(Binary { op, left, right })),
            }
        }
        (BinaryOp::Eq, Expr::Literal(left), Expr::Literal(right)) => boolean(left.value == right.value),
        (BinaryOp::NotEq, Expr::Literal(left), Expr::Literal(right)) => boolean(left.value != right.value),
        _ => Expr::Binary(binary),
    }
}

/// Whether a condition holds for one tag of a series, as 1.x decides it when it counts values: each name is a tag's value, a name that the
/// series has not makes every comparison fail, and [`TAG_KEY`] is the tag's own key.
pub(super) fn holds_for_tag<'a>(condition: &Expr, key: &str, tag: &impl Fn(&str) -> &'a str) -> Result<bool, Error> {
    let Expr::Binary(binary) = condition else {
        return Ok(match condition {
            Expr::Paren(inner, _) => holds_for_tag(inner, key, tag)?,
            other => truth(other) == Some(true),
        });
    };
    if matches!(binary.op, BinaryOp::And | BinaryOp::Or) {
        let left = holds_for_tag(&binary.left, key, tag)?;
        let right = holds_for_tag(&binary.right, key, tag)?;
        return Ok(if binary.op == BinaryOp::And { left && right } else { left || right });
    }
    let value = |operand: &Expr| match reduced(operand) {
        Expr::VarRef(reference) if &*reference.name.name == TAG_KEY => Some(key.to_owned()),
        Expr::VarRef(reference) if reference.cast.is_some_and(|cast| cast != Cast::Tag) => None,
        Expr::VarRef(reference) => Some(tag(&reference.name.name).to_owned()).filter(|value| !value.is_empty()),
        Expr::Literal(Literal { value: Value::String(text), .. }) => Some(text.into()),
        _ => None,
    };
    let Some(left) = value(&binary.left) else { return Ok(false) };
    Ok(match (binary.op, &binary.right) {
        (op @ (BinaryOp::EqRegex | BinaryOp::NotEqRegex), Expr::Regex(_)) => {
            Test::new(op, &binary.right)?.is_some_and(|test| test.holds(&left))
        }
        (BinaryOp::Eq, right) => value(right).is_some_and(|right| left == right),
        (BinaryOp::NotEq, right) => value(right).is_some_and(|right| left != right),
        _ => false,
    })
}

/// 1.x's index compares for equality only.
pub(super) fn check_operators(condition: &Expr) -> Result<(), Error> {
    match condition {
        Expr::Binary(binary) => {
            use BinaryOp::{And, Eq, EqRegex, NotEq, NotEqRegex, Or};
            match binary.op {
                And | Or => {
                    check_operators(&binary.left)?;
                    check_operators(&binary.right)
                }
                Eq | NotEq | EqRegex | NotEqRegex => Ok(()),
                _ => Err(invalid_operator()),
            }
        }
        Expr::Paren(inner, _) => check_operators(inner),
        _ => Ok(()),
    }
}

pub(super) fn invalid_operator() -> Error {
    Error::invalid("invalid tag comparison operator")
}

/// Keys that a condition's comparisons of [`TAG_KEY`] leave; `None` when it has none.
pub(super) fn keys(condition: &Expr, keys: &[Box<str>]) -> Result<Option<Vec<Box<str>>>, Error> {
    match condition {
        Expr::Binary(binary) => match binary.op {
            BinaryOp::And | BinaryOp::Or => Ok(match (self::keys(&binary.left, keys)?, self::keys(&binary.right, keys)?) {
                (Some(left), Some(right)) => Some(
                    keys.iter()
                        .filter(|key| match binary.op {
                            BinaryOp::And => left.contains(key) && right.contains(key),
                            _ => left.contains(key) || right.contains(key),
                        })
                        .cloned()
                        .collect(),
                ),
                (left, right) => left.or(right),
            }),
            BinaryOp::Eq | BinaryOp::NotEq | BinaryOp::EqRegex | BinaryOp::NotEqRegex => {
                let Expr::VarRef(reference) = &binary.left else { return Err(left_side(binary.op)) };
                if &*reference.name.name != TAG_KEY {
                    return Ok(None);
                }
                let test = Test::new(binary.op, &binary.right)?.ok_or_else(|| right_side(binary.op))?;
                Ok(Some(keys.iter().filter(|key| test.holds(key)).cloned().collect()))
            }
            _ => Err(Error::invalid("invalid operator for tag keys by expression")),
        },
        Expr::Paren(inner, _) => self::keys(inner, keys),
        other => Err(Error::invalid(format!("invalid measurement tag keys expression: {}", describe::go(other)))),
    }
}

pub(super) fn left_side(op: BinaryOp) -> Error {
    Error::invalid(format!("left side of '{}' must be a tag key", describe::operator(op)))
}

pub(super) fn right_side(op: BinaryOp) -> Error {
    Error::invalid(format!("right side of '{}' must be a tag value string", describe::operator(op)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influxql::{Limits, Params, StatementKind, parse};

    fn condition(text: &str) -> Expr {
        let statement = format!("SELECT a FROM m WHERE {text}");
        match parse(&statement, &Params::default(), Limits::default()).unwrap().remove(0).kind {
            StatementKind::Select(select) => select.condition.unwrap(),
            _ => unreachable!(),
        }
    }

    #[test]
    fn what_a_filter_leaves() {
        let tag = |key: &str| if key == "host" { "a" } else { "" };
        for (text, holds) in [
            ("host = 'a'", true),
            ("'a' = host", true),
            ("(host) = ('a')", true),
            ("host = 'a' + 'b'", false),
            ("host != 'a'", false),
            ("nosuch = ''", true),
            ("nosuch != ''", false),
            ("host != ''", true),
            ("host =~ /^$/", false),
            ("nosuch =~ /^$/", true),
            ("nosuch !~ /./", true),
            ("host = 1", true),
            ("f = 'x'", true),
            ("host = nosuch", false),
            ("host != nosuch", true),
            ("nosuch != host", false),
            ("_name = 'm' AND host = 'a'", true),
            ("_name != 'm' OR nosuch = 'a'", false),
            ("true", true),
            ("false OR (_name =~ /m/)", true),
            ("host", false),
        ] {
            let filter = Filter::new(&condition(text), &|name, _| name == "f").unwrap();
            assert_eq!(filter.holds("m", &tag), holds, "{text}: {filter:?}");
        }
    }

    #[test]
    fn parts_of_a_condition() {
        let text = |keep: &dyn Fn(&str) -> bool| {
            let left = only(&condition("_name = 'm' OR (host = 'a' AND 'x' = host) AND b > 1"), keep);
            left.map(|left| describe::expr(&left)).unwrap_or_default()
        };
        assert_eq!(text(&|name| name == NAME), "_name = 'm' OR b > 1");
        assert_eq!(text(&|name| name != NAME), "(host = 'a') AND b > 1");
        assert_eq!(only(&condition("a = 1 OR (b = 2)"), &|_| false), None);
        let all: Vec<Box<str>> = ["a", "b", "c"].map(Into::into).into();
        let left = |text: &str| keys(&condition(text), &all).map(|keys| keys.map(|keys| keys.join("")));
        assert_eq!(left("_tagKey = 'a' OR (_tagKey =~ /c/)").unwrap().unwrap(), "ac");
        assert_eq!(left("_tagKey = 'a' AND host = 'x'").unwrap().unwrap(), "a");
        assert_eq!(left("_tagKey != 'a' AND _tagKey != 'b'").unwrap().unwrap(), "c");
        assert_eq!(left("host = 'x'").unwrap(), None);
        assert_eq!(left("_tagKey = 1").unwrap_err().message(), "right side of '=' must be a tag value string");
        assert_eq!(left("'a' = x").unwrap_err().message(), "left side of '=' must be a tag key");
        assert_eq!(check_operators(&condition("a = 'b' OR (c > 1)")).unwrap_err().message(), "invalid tag comparison operator");
    }
}
