//! Bind parameters: values that stand for `$name`.
//!
//! As in 1.x they replace tokens: `$name` is read as if the value stood there as one literal or identifier.

use serde_json::{Map, Value as Json};

use super::ast::Value;
use super::duration::parse_duration;
use super::{Error, Span};

/// Bind parameters, by name without the `$`.
#[derive(Clone, Debug, Default)]
pub struct Params(
    /// Sorted by name.
    pub(super) Vec<(Box<str>, Param)>,
);

/// A bind parameter's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    /// A literal.
    Value(Value),
    /// `{"identifier": "…"}`
    Identifier(Box<str>),
    /// `{"regex": "…"}`
    Regex(Box<str>),
    /// A value that can't be bound, and why: an error only where it is used, as in 1.x.
    Invalid(Box<str>),
}

impl Params {
    /// From the JSON object that v1 clients send as `params`: strings, numbers, booleans, and objects with one entry that says what
    /// the value is: `identifier` (`ident`), `regex`, `string`, `duration`, `integer`, `unsigned`, `float` (`number`), `boolean`.
    ///
    /// # Errors
    /// When a number doesn't fit any type; the message names it. A value of a type that can't be bound is an error only when a query
    /// uses it.
    pub fn from_json(object: &Map<String, Json>) -> Result<Self, Error> {
        let params = object.iter().map(|(name, value)| Ok((name.as_str().into(), bind(value)?)));
        params.collect()
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.0.binary_search_by(|(key, _)| (**key).cmp(name)).ok()
    }

    /// The value bound to `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Param> {
        self.0.get(self.position(name)?).map(|(_, param)| param)
    }
}

impl FromIterator<(Box<str>, Param)> for Params {
    fn from_iter<I: IntoIterator<Item = (Box<str>, Param)>>(params: I) -> Self {
        let mut params: Vec<_> = params.into_iter().collect();
        // The first of equal names counts.
        params.sort_by(|a, b| a.0.cmp(&b.0));
        params.dedup_by(|later, earlier| later.0 == earlier.0);
        Self(params)
    }
}

fn bind(value: &Json) -> Result<Param, Error> {
    Ok(match value {
        Json::String(text) => Param::Value(Value::String(text.as_str().into())),
        Json::Bool(value) => Param::Value(Value::Boolean(*value)),
        Json::Number(number) => Param::Value(self::number(number)?),
        Json::Object(object) => typed(object),
        // The names of the types are those of 1.x's implementation, as they stand in its messages.
        Json::Null => Param::Invalid("unable to bind parameter with type <nil>".into()),
        Json::Array(_) => Param::Invalid("unable to bind parameter with type []interface {}".into()),
    })
}

/// A number with a point is a float, one without is an integer.
fn number(number: &serde_json::Number) -> Result<Value, Error> {
    if let Some(value) = number.as_i64() {
        return Ok(Value::Integer(value));
    }
    if let Some(value) = number.as_u64() {
        return Ok(Value::Unsigned(value));
    }
    match number.as_f64().filter(|value| value.is_finite()) {
        Some(value) => Ok(Value::Float(value)),
        None => Err(Error::new(format!("error parsing json value: {number}: value out of range"), Span::default())),
    }
}

/// `{"type": value}`
fn typed(object: &Map<String, Json>) -> Param {
    let mut entries = object.iter();
    let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
        return Param::Invalid("bound object parameter value must have exactly one entry".into());
    };
    let invalid = |message: &str| Param::Invalid(message.into());
    let integer = value.as_number().and_then(serde_json::Number::as_i64);
    match (kind.as_str(), value) {
        ("ident" | "identifier", Json::String(name)) => Param::Identifier(name.as_str().into()),
        ("ident" | "identifier", _) => invalid("identifier must be a string value"),
        ("regex", Json::String(pattern)) => Param::Regex(pattern.as_str().into()),
        ("regex", _) => invalid("regex literal must be a string value"),
        ("string", Json::String(text)) => Param::Value(Value::String(text.as_str().into())),
        ("string", _) => invalid("string literal must be a string value"),
        ("float" | "number", value) => match value.as_f64().filter(|value| value.is_finite()) {
            Some(value) => Param::Value(Value::Float(value)),
            None => invalid("number literal must be a float value"),
        },
        ("int" | "integer", _) => {
            integer.map_or_else(|| invalid("integer literal must be an integer value"), |n| Param::Value(Value::Integer(n)))
        }
        ("unsigned", value) => match value.as_u64() {
            Some(value) => Param::Value(Value::Unsigned(value)),
            None => invalid("unsigned literal must be an unsigned integer value"),
        },
        ("bool" | "boolean", Json::Bool(value)) => Param::Value(Value::Boolean(*value)),
        ("bool" | "boolean", _) => invalid("boolean literal must be a boolean value"),
        ("duration", Json::String(text)) => match parse_duration(text) {
            Ok(value) => Param::Value(Value::Duration(value)),
            Err(error) => Param::Invalid(error.to_string().into()),
        },
        ("duration", _) => integer
            .map_or_else(|| invalid("duration literal must be a string or integer value"), |n| Param::Value(Value::Duration(n))),
        (other, _) => Param::Invalid(format!("unknown bind object type: {other}").into()),
    }
}
