//! The body of a v3 query.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::{FORMAT_ARROW, ReplyFormat};

/// Body of `POST /api/v3/query_influxql`: a JSON object. Unknown members are ignored, as 3 Core does.
///
/// <https://docs.influxdata.com/influxdb3/core/api/v3/#operation/PostExecuteQueryInfluxQL>
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct QueryInfluxql<'a> {
    /// The database (a bucket). 3 Core also takes it from the statement when it is absent.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub db: Option<Cow<'a, str>>,
    /// One statement.
    #[serde(borrow)]
    pub q: Cow<'a, str>,
    /// `json`, `jsonl`, `csv`, `pretty`, `parquet`; [`FORMAT_ARROW`] from the embedded store.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Cow<'a, str>>,
    /// Buckets that are one database (its retention policies), for the embedded store: v1's statements about a whole database need them
    /// all. Each bucket with the others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub siblings: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// Bind parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<serde_json::Map<String, serde_json::Value>>,
}

impl ReplyFormat {
    /// The form of replies that don't come over Flight.
    #[must_use]
    pub const fn over_http(self) -> Self {
        match self {
            Self::Flight | Self::FlightOrJsonl => Self::Jsonl,
            other => other,
        }
    }

    /// Value of `format` that asks a v3 server for it, where it is asked over HTTP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arrow => FORMAT_ARROW,
            Self::Jsonl | Self::Flight | Self::FlightOrJsonl => "jsonl",
            Self::V1Json => "json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_are_absent_are_not_written() {
        let body = QueryInfluxql {
            db: Some("a/b".into()),
            q: "SHOW \"x\"".into(),
            format: Some("jsonl".into()),
            ..QueryInfluxql::default()
        };
        let text = serde_json::to_string(&body).unwrap();
        assert_eq!(text, r#"{"db":"a/b","q":"SHOW \"x\"","format":"jsonl"}"#);
        assert_eq!(serde_json::from_str::<QueryInfluxql<'_>>(&text).unwrap(), body);
        assert!(serde_json::from_str::<QueryInfluxql<'_>>(r#"{"q":"x","format":null,"other":1}"#).is_ok());
        assert!(serde_json::from_str::<QueryInfluxql<'_>>(r#"{"db":"x"}"#).is_err());
    }
}
