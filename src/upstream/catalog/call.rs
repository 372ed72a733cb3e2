//! One call of a management API.

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::{
    body::Body,
    error::{Error, Kind},
    native::{AuthErrors, Operation, decode_error},
    upstream::Upstream,
};

/// Bytes of one answer: some ten thousands of names.
const LIMIT: usize = 8 << 20;

/// Who calls.
pub(super) struct Caller<'a> {
    pub(super) upstream: &'a Upstream,
    /// The client's credential; none: the upstream's own.
    pub(super) authorization: Option<&'a HeaderValue>,
    /// What a 401 or 403 means to a writer.
    pub(super) auth_errors: AuthErrors,
}

/// What a call is for, for the words of its failure.
#[derive(Clone, Copy)]
pub(super) struct Purpose<'a> {
    /// `make bucket "x/autogen"`
    pub(super) what: &'a str,
    /// v1's database.
    pub(super) database: &'a str,
    /// What the token needs: `write:buckets`.
    pub(super) permission: &'a str,
}

/// An answer that is no 2xx.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: bytes::Bytes,
}

impl Caller<'_> {
    /// `GET`s JSON. Whoever isn't told says [`Kind::NotImplemented`], and a client who isn't known there [`Kind::Unauthorized`].
    pub(super) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let refusal = match self.send(Method::GET, path, None).await? {
            Ok(body) => return read(&body),
            Err(refusal) => refusal,
        };
        let kind = match refusal.status {
            // Of a token that may do less than it would take, v2 shows less.
            StatusCode::UNAUTHORIZED if self.authorization.is_some() => {
                return Err(Error::new(Kind::Unauthorized, "unauthorized access: the upstream does not know this token"));
            }
            // No token, a token without the right, Serverless' lack of the path (which VictoriaMetrics calls a 400): that stays so.
            StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED => Kind::NotImplemented,
            _ => Kind::Unavailable,
        };
        Err(Error::new(kind, format!("upstream does not tell its databases: status {}", refusal.status.as_u16())))
    }

    /// Calls, and has the answer's body when it is a 2xx.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Result<bytes::Bytes, Refusal>, Error> {
        let mut request = Request::new(Body::empty());
        if let Some(body) = body {
            *request.body_mut() = Body::from(serde_json::to_vec(body).map_err(Error::internal)?);
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(Error::internal)?;
        match self.authorization {
            Some(value) => drop(request.headers_mut().insert(header::AUTHORIZATION, value.clone())),
            None => self.upstream.authorize(&mut request),
        }
        let (head, body) = self.upstream.exchange(request, LIMIT).await?;
        Ok(if head.status.is_success() { Ok(body) } else { Err(Refusal { status: head.status, headers: head.headers, body }) })
    }
}

impl Refusal {
    /// Whether it says that this is there already: v2's 422 and v3's 409.
    pub(super) fn is_there_already(&self) -> bool {
        self.status == StatusCode::CONFLICT
            || (self.status == StatusCode::UNPROCESSABLE_ENTITY
                || self.status == StatusCode::BAD_REQUEST
                || self.status == StatusCode::INTERNAL_SERVER_ERROR)
                && {
                    let text = String::from_utf8_lossy(&self.body);
                    // v2 says 500 for a second mapping of the same names.
                    text.contains("already exists") || text.contains("db, and rp exists")
                }
    }

    /// What it means to whoever is behind the call: a writer's promises about retrying hold here too.
    pub(super) fn into_error(self, caller: &Caller<'_>, purpose: Purpose<'_>) -> Error {
        let operation = Operation::Write { database: "", auth: caller.auth_errors };
        let said = decode_error(self.status, &self.headers, &self.body, operation);
        let Purpose { what, database, permission } = purpose;
        let status = self.status.as_u16();
        let message = match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let whose = if caller.authorization.is_some() { "the client's token" } else { "upstream.token" };
                format!(
                    "can't {what} for database {database:?}: {whose} lacks the permission {permission} (upstream: {status}, {said})"
                )
            }
            // A path that isn't there: nothing of this kind is to be made from here.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                let message = format!("can't {what} for database {database:?}: upstream: {status}, {said}");
                return Error::new(Kind::NotImplemented, message);
            }
            _ => format!("can't {what} for database {database:?}: upstream: {status}, {said}"),
        };
        let error = Error::new(said.kind(), message).blaming(said.blame());
        match said.retry_delay() {
            Some(delay) => error.retry_after(delay),
            None => error,
        }
    }
}

/// JSON of an answer.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| {
        Error::new(Kind::BadGateway, "upstream tells its databases in a form that is not known").with_source(error)
    })
}

/// `a=b&c=d`
pub(super) fn pairs(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
