//! Bodies that hold parameters.

use std::{borrow::Cow, convert::Infallible};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, request::Parts};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::{decode::Raw, plan::Form, query::query, write::is_gzip};
use crate::{
    call::Call,
    config::Config,
    error::{Error, Kind},
    lineprotocol::gunzip,
    types::BoxError,
};

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// 413 for a longer one, 400 for one that breaks off.
pub(super) async fn collect<B>(body: B, limit: usize) -> Result<Bytes, Error>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let too_large = || Error::new(Kind::TooLarge, format!("request body is larger than {limit} bytes"));
    // What says that it is too long needn't be read at all.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        // What a layer further out refuses (too slow, too long) keeps its own error.
        Err(error) => Err(match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(error) => Error::invalid("request body could not be read").with_source(error),
        }),
    }
}

/// The query whose parameters stand in the head and in this body.
///
/// # Errors
/// 400 for a body that is not what its type says, and whatever the parameters are refused for.
pub(super) async fn from_form(head: &Parts, form: Form, body: Bytes, config: &Config) -> Result<Call, Error> {
    let body = if is_gzip(&head.headers)? && !body.is_empty() { gunzip(&body, config.limits.query as u64)?.into() } else { body };
    let encoded = head.uri.query().unwrap_or_default();
    let mut raw = Raw::default();
    match form {
        Form::UrlEncoded => {
            raw.add(text(&body)?)?;
            raw.add(encoded)?;
        }
        Form::Multipart(boundary) => {
            raw.add(encoded)?;
            multipart(&mut raw, boundary, body.clone()).await?;
        }
        Form::InfluxQl => {
            raw.add(encoded)?;
            raw.q.get_or_insert(Cow::Borrowed(text(&body)?));
        }
        Form::Unknown => {
            let text = text(&body)?;
            // A form begins with the name of a parameter, InfluxQL with a keyword: so a `&q=` in a string misleads nobody.
            let first = text.split(['=', '&']).next().unwrap_or_default();
            if raw.slot(first).is_some() || matches!(first, "u" | "p") {
                raw.add(text)?;
            } else {
                raw.q = Some(Cow::Borrowed(text));
            }
            raw.add(encoded)?;
        }
    }
    Ok(Call::Query(query(raw, &head.headers, config.compat.profile, head.method == Method::GET)?.into()))
}

fn text(body: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(body).map_err(|_| Error::invalid("request body is not valid UTF-8"))
}

/// Fields and files count alike; a file is how curl's `-F "q=@queries.txt"` sends them.
async fn multipart(raw: &mut Raw<'_>, boundary: String, body: Bytes) -> Result<(), Error> {
    let invalid = |error: multer::Error| Error::invalid(format!("invalid multipart form: {error}"));
    let mut fields = multer::Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
    while let Some(field) = fields.next_field().await.map_err(invalid)? {
        let name = field.name().unwrap_or_default().to_owned();
        let Some(slot @ None) = raw.slot(&name) else { continue };
        let value = field.bytes().await.map_err(invalid)?;
        let value = text(&value)?;
        *slot = (!value.is_empty()).then(|| Cow::Owned(value.to_owned()));
    }
    Ok(())
}
