//! What a request is, as far as its head tells.

use http::{Method, header::CONTENT_TYPE, request::Parts};

use super::{
    decode::Raw,
    native::{Needs, needs},
    query::query,
    write::{is_gzip, write},
};
use crate::{
    call::{Call, Endpoint, Native, is_open},
    config::Config,
    error::{Error, Kind},
};

/// A request that is understood, or a reason to read its body.
#[derive(Debug)]
pub(super) enum Plan {
    /// The head says it all.
    Ready(Call),
    /// The body has parameters of a v1 query.
    Form(Form),
    /// The body is a v3 query; it goes on as it is.
    Native,
}

/// What a body with parameters looks like.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// `application/x-www-form-urlencoded`
    UrlEncoded,
    /// `multipart/form-data` with this boundary
    Multipart(String),
    /// `application/vnd.influxql`
    InfluxQl,
    /// Some other type, or none: a form when it begins with a parameter's name, else InfluxQL.
    Unknown,
}

/// # Errors
/// All that the head alone can be refused for: 400, 404, 405, 415.
pub(super) fn plan(head: &Parts, has_body: bool, config: &Config) -> Result<Plan, Error> {
    let (method, path) = (&head.method, head.uri.path());
    let encoded = head.uri.query().unwrap_or_default();
    let endpoint = Endpoint::at(path);
    if endpoint != Endpoint::Ping && is_open(method, path, &head.headers) {
        return Ok(Plan::Ready(Call::Native(Native::Open)));
    }
    allowed(endpoint, method)?;
    if matches!(endpoint, Endpoint::Other | Endpoint::Health) {
        if !config.compat.passthrough {
            return Err(Error::new(Kind::NotFound, "path not found"));
        }
        return Ok(match needs(method, path, encoded)? {
            Needs::Known(native) => Plan::Ready(Call::Native(native)),
            Needs::Body => Plan::Native,
        });
    }
    let mut raw = Raw::default();
    let profile = config.compat.profile;
    Ok(match endpoint {
        Endpoint::Write => {
            raw.add(encoded)?;
            Plan::Ready(Call::Write(write(raw, &head.headers, profile)?))
        }
        Endpoint::Ping => {
            raw.add(encoded)?;
            let verbose = raw.verbose.is_some_and(|verbose| !matches!(&*verbose, "0" | "false"));
            Plan::Ready(Call::Ping { verbose })
        }
        _ => {
            is_gzip(&head.headers)?;
            let form = if has_body { form(head, encoded)? } else { None };
            if let Some(form) = form {
                return Ok(Plan::Form(form));
            }
            raw.add(encoded)?;
            Plan::Ready(Call::Query(query(raw, &head.headers, profile, *method == Method::GET)?.into()))
        }
    })
}

/// How the body of a `/query` is read, if at all. As in 1.x, a `GET` may have a multipart form and no other.
fn form(head: &Parts, encoded: &str) -> Result<Option<Form>, Error> {
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = content_type.split(';').next().unwrap_or_default().trim();
    let q_in_url = || {
        let mut raw = Raw::default();
        raw.add(encoded).map(|()| raw.q.is_some())
    };
    if media.eq_ignore_ascii_case("multipart/form-data") {
        return match multer::parse_boundary(content_type) {
            Ok(boundary) => Ok(Some(Form::Multipart(boundary))),
            // It can't be read, and needn't be.
            Err(_) if q_in_url()? => Ok(None),
            Err(error) => Err(Error::invalid(format!("invalid content type {content_type:?}: {error}"))),
        };
    }
    Ok(if head.method != Method::POST {
        None
    } else if media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Some(Form::UrlEncoded)
    } else if media.eq_ignore_ascii_case("application/vnd.influxql") {
        Some(Form::InfluxQl)
    } else {
        (!q_in_url()?).then_some(Form::Unknown)
    })
}

fn allowed(endpoint: Endpoint, method: &Method) -> Result<(), Error> {
    let allow = match endpoint {
        Endpoint::Write => "POST, OPTIONS",
        Endpoint::Query => "GET, POST, OPTIONS",
        Endpoint::Ping => "GET, HEAD, OPTIONS",
        Endpoint::Health | Endpoint::Other => return Ok(()),
    };
    // OPTIONS is there for CORS preflight, which never comes here.
    if *method != Method::OPTIONS && allow.split(", ").any(|known| known == method.as_str()) {
        return Ok(());
    }
    let message = format!("method {:?} is not allowed here: use {}", method.as_str(), allow.trim_end_matches(", OPTIONS"));
    Err(Error::new(Kind::MethodNotAllowed, message).allowing(allow))
}
