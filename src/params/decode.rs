//! Parameters by name, as written.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::write::shorten;
use crate::error::Error;

/// The parameters that v1 knows, undecided: of those given more than once the first that isn't empty, all others forgotten.
#[derive(Debug, Default)]
pub(super) struct Raw<'a> {
    pub(super) q: Option<Cow<'a, str>>,
    pub(super) db: Option<Cow<'a, str>>,
    pub(super) rp: Option<Cow<'a, str>>,
    pub(super) epoch: Option<Cow<'a, str>>,
    pub(super) precision: Option<Cow<'a, str>>,
    pub(super) consistency: Option<Cow<'a, str>>,
    pub(super) chunked: Option<Cow<'a, str>>,
    pub(super) chunk_size: Option<Cow<'a, str>>,
    pub(super) pretty: Option<Cow<'a, str>>,
    pub(super) params: Option<Cow<'a, str>>,
    pub(super) verbose: Option<Cow<'a, str>>,
}

impl<'a> Raw<'a> {
    /// Adds what `name=value&…` says.
    pub(super) fn add(&mut self, encoded: &'a str) -> Result<(), Error> {
        for (name, value) in pairs(encoded) {
            if let Some(slot @ None) = self.slot(&name) {
                *slot = value_of(&name, value)?.filter(|value| !value.is_empty());
            }
        }
        Ok(())
    }

    /// Where a parameter is kept; none for those that nobody knows.
    pub(super) fn slot(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match name {
            "q" => &mut self.q,
            "db" => &mut self.db,
            "rp" => &mut self.rp,
            "epoch" => &mut self.epoch,
            "precision" => &mut self.precision,
            "consistency" => &mut self.consistency,
            "chunked" => &mut self.chunked,
            // The documentation of Cloud has it under the second name.
            "chunk_size" | "chunked_size" => &mut self.chunk_size,
            "pretty" => &mut self.pretty,
            "params" => &mut self.params,
            "verbose" => &mut self.verbose,
            _ => return None,
        })
    }
}

/// The value of a parameter that a native path is judged by. It must not be given twice: the service below might take the other one.
pub(super) fn single<'a>(query: &'a str, wanted: &str) -> Result<Option<Cow<'a, str>>, Error> {
    let mut found = None;
    for (name, value) in pairs(query) {
        if name == wanted && found.replace(value_of(&name, value)?.unwrap_or_default()).is_some() {
            return Err(Error::invalid(format!("parameter {wanted:?} is given more than once")));
        }
    }
    Ok(found.filter(|value| !value.is_empty()))
}

/// Names, decoded, and values as written. A semicolon separates nothing.
fn pairs(encoded: &str) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    encoded.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (component(name).unwrap_or_default(), value)
    })
}

fn value_of<'a>(name: &str, value: &'a str) -> Result<Option<Cow<'a, str>>, Error> {
    // Texts are taken as they come. A name with such a mistake would be somebody else's, and one left out, as 1.x does, a default.
    if !matches!(name, "q" | "params") {
        if value.contains(';') {
            return Err(Error::invalid(format!("parameter {name:?} has an unescaped ';': {:?}", shorten(value))));
        }
        if has_malformed_escape(value) {
            return Err(Error::invalid(format!("parameter {name:?} has a malformed escape: {:?}", shorten(value))));
        }
    }
    component(value).map(Some).ok_or_else(|| Error::invalid(format!("parameter {name:?} is not valid UTF-8")))
}

fn has_malformed_escape(value: &str) -> bool {
    value.split('%').skip(1).any(|rest| !matches!(rest.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

/// Decodes one name or value; nothing when it isn't text. A `%` that begins no escape stands for itself.
fn component(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(raw));
    }
    let spaced = raw.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_isnt_empty_counts() {
        let mut raw = Raw::default();
        raw.add("q=a&q=b&db=&db=x+y%26&rp&&epoch=%6ds&unknown=%ff&chunked_size=5").unwrap();
        raw.add("q=c&rp=r&%64b=z&chunk_size=6").unwrap();
        let text = |value: &Option<Cow<'_, str>>| value.as_deref().unwrap_or("-").to_owned();
        assert_eq!([&raw.q, &raw.db, &raw.rp, &raw.epoch, &raw.chunk_size].map(text), ["a", "x y&", "r", "ms", "5"]);
        assert_eq!(text(&raw.precision), "-");
    }

    #[test]
    fn values_are_text() {
        for (encoded, q) in [
            ("q=SELECT+1;+SELECT+2", "SELECT 1; SELECT 2"),
            ("q=100%", "100%"),
            ("q=%zz%41", "%zzA"),
            ("q=a=b", "a=b"),
            ("q=é", "é"),
        ] {
            let mut raw = Raw::default();
            raw.add(encoded).unwrap();
            assert_eq!(raw.q.as_deref(), Some(q));
        }
        for (encoded, why) in [
            ("db=%zz", "parameter \"db\" has a malformed escape: \"%zz\""),
            ("rp=100%", "parameter \"rp\" has a malformed escape: \"100%\""),
            ("db=w%2", "parameter \"db\" has a malformed escape: \"w%2\""),
            ("db=w;precision=s", "parameter \"db\" has an unescaped ';': \"w;precision=s\""),
        ] {
            assert_eq!(Raw::default().add(encoded).unwrap_err().message(), why);
        }
        let error = Raw::default().add("q=%ff").unwrap_err();
        assert_eq!(error.message(), "parameter \"q\" is not valid UTF-8");
    }

    #[test]
    fn native_parameters_are_given_once() {
        assert_eq!(single("bucket=a%2Fb&org=x", "bucket").unwrap().as_deref(), Some("a/b"));
        assert_eq!(single("bucket=", "bucket").unwrap(), None);
        assert_eq!(single("db=a", "bucket").unwrap(), None);
        for query in ["db=a&db=b", "db=&db=b", "db=a&%64b=a"] {
            assert_eq!(single(query, "db").unwrap_err().message(), "parameter \"db\" is given more than once");
        }
    }
}
