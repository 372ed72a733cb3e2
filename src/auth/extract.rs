//! Where credentials stand, and how they are taken out.

use std::borrow::Cow;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use http::{HeaderMap, Uri, header::AUTHORIZATION, uri::PathAndQuery};

use crate::{
    call::Endpoint,
    error::{Error, Kind},
    types::Secret,
};

/// Base64 with or without its padding: some clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// 1.x's text for a request without a credential or with one that can't be read.
pub(super) const NO_CREDENTIAL: &str = "unable to parse authentication credentials";

/// 1.x's text for a credential that nobody knows; clients look for it.
pub(super) const UNKNOWN: &str = "authorization failed";

/// What somebody has shown.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    /// Who they say they are; counts only where users have passwords.
    pub(super) user: Option<Box<str>>,
    /// A token or a password.
    pub(super) secret: Secret,
    /// It came as `Bearer`, and so may be a JSON Web Token.
    pub(super) bearer: bool,
}

impl Credential {
    fn new(user: Option<&str>, secret: impl Into<Box<str>>) -> Self {
        let user = user.filter(|user| !user.is_empty()).map(Into::into);
        Self { user, secret: Secret::new(secret), bearer: false }
    }
}

/// Takes the credential out of URL and headers; afterwards neither holds one. Where v1's endpoints don't stand, `u` and `p` may be
/// parameters of the host's: they count there only for somebody who has to say who they are (`asked`) and has no header for it.
///
/// # Errors
/// 401 when the only credential is a header that makes no sense.
pub(super) fn take(uri: &mut Uri, headers: &mut HeaderMap, asked: bool) -> Result<Option<Credential>, Error> {
    let header = headers.remove(AUTHORIZATION);
    if ((asked && header.is_none()) || Endpoint::at(uri.path()) != Endpoint::Other)
        && let Some(credential) = take_from_uri(uri)
    {
        return Ok(Some(credential));
    }
    match header {
        Some(header) => from_header(header.as_bytes()),
        None => Ok(None),
    }
}

/// The first `p` that isn't empty, and the first `u`; every `u` and `p` leaves the URI, all else stays byte for byte.
fn take_from_uri(uri: &mut Uri) -> Option<Credential> {
    let query = uri.query()?;
    if !query.split('&').any(|pair| is_credential(&name(pair))) {
        return None;
    }
    let (mut secret, mut user): (Option<Box<str>>, Option<Box<str>>) = (None, None);
    let mut rest = String::with_capacity(uri.path().len() + 1 + query.len());
    rest.push_str(uri.path());
    let mut separator = '?';
    for pair in query.split('&') {
        let name = name(pair);
        if !is_credential(&name) {
            rest.push(separator);
            rest.push_str(pair);
            separator = '&';
        } else {
            let slot = if name == "p" { &mut secret } else { &mut user };
            if slot.is_none() {
                let value = form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value).unwrap_or_default();
                *slot = (!value.is_empty()).then(|| value.into());
            }
        }
    }
    let mut parts = std::mem::take(uri).into_parts();
    // Parts of what was a URI make one again; if ever not, nothing of it may go on.
    parts.path_and_query =
        Some(PathAndQuery::from_maybe_shared(Bytes::from(rest)).unwrap_or_else(|_| PathAndQuery::from_static("/")));
    *uri = Uri::from_parts(parts).unwrap_or_default();
    secret.map(|secret| Credential::new(user.as_deref(), secret))
}

/// The name in `name=value`, decoded: `%70` is `p` too.
fn name(pair: &str) -> Cow<'_, str> {
    let raw = pair.split('=').next().unwrap_or_default();
    if raw.contains(['%', '+']) {
        form_urlencoded::parse(raw.as_bytes()).next().map(|(name, _)| name).unwrap_or_default()
    } else {
        Cow::Borrowed(raw)
    }
}

fn is_credential(name: &str) -> bool {
    matches!(name, "u" | "p")
}

/// The credential in an `Authorization` header, none when it is empty.
fn from_header(header: &[u8]) -> Result<Option<Credential>, Error> {
    let malformed = || Error::new(Kind::Unauthorized, NO_CREDENTIAL);
    let header = std::str::from_utf8(header).map_err(|_| malformed())?.trim();
    let (scheme, rest) = header.split_once([' ', '\t']).unwrap_or((header, ""));
    let rest = rest.trim();
    let credential = if scheme.eq_ignore_ascii_case("token") {
        match rest.split_once(':') {
            Some((user, token)) => Credential::new(Some(user), token),
            None => Credential::new(None, rest),
        }
    } else if scheme.eq_ignore_ascii_case("bearer") {
        Credential { bearer: true, ..Credential::new(None, rest) }
    } else if scheme.eq_ignore_ascii_case("basic") {
        let plain = BASE64.decode(rest).ok().and_then(|plain| String::from_utf8(plain).ok()).ok_or_else(malformed)?;
        let (user, password) = plain.split_once(':').ok_or_else(malformed)?;
        if password.is_empty() {
            // A user without a password is somebody whom nobody knows.
            return Err(Error::new(Kind::Unauthorized, UNKNOWN));
        }
        Credential::new(Some(user), password)
    } else {
        return Err(malformed());
    };
    Ok((!credential.secret.expose().is_empty()).then_some(credential))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Token and what is left of the URI.
    fn taken(uri: &str, header: Option<&str>) -> (Result<Option<String>, String>, String) {
        let mut uri: Uri = uri.parse().unwrap();
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.append(AUTHORIZATION, header.parse().unwrap());
        }
        let token = take(&mut uri, &mut headers, true);
        assert!(!headers.contains_key(AUTHORIZATION));
        let token = token.map(|token| token.map(|token| token.secret.expose().to_owned())).map_err(|error| error.to_string());
        (token, uri.to_string())
    }

    #[test]
    fn headers() {
        let basic = |plain: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain));
        for (header, token) in [
            ("Token T", Some("T")),
            ("token T", Some("T")),
            ("TOKEN \t T ", Some("T")),
            ("Token user:T", Some("T")),
            ("Token :T", Some("T")),
            ("Token user:T:x", Some("T:x")),
            ("Token", None),
            ("Token ", None),
            ("Token user:", None),
            ("Bearer T", Some("T")),
            ("bEARER a:b", Some("a:b")),
            (&basic("user:T"), Some("T")),
            (&basic(":T"), Some("T")),
            (&basic("user:T:with:colons"), Some("T:with:colons")),
            (&basic("üser:pässwört"), Some("pässwört")),
            ("basic dTpU", Some("T")),
            // without its padding
            ("Basic dXNlcjpU", Some("T")),
            ("Basic OlQ", Some("T")),
        ] {
            assert_eq!(taken("/write?db=d", Some(header)).0, Ok(token.map(str::to_owned)), "{header}");
        }
        assert_eq!(taken("/write?db=d", Some(&basic("user:"))).0, Err(UNKNOWN.to_owned()));
        for header in ["Digest x", "x", "", "Basic", "Basic !", &basic("no colon"), "Basic //8="] {
            assert_eq!(taken("/write?db=d", Some(header)).0, Err(NO_CREDENTIAL.to_owned()), "{header}");
        }
    }

    #[test]
    fn user_names() {
        let user = |uri: &str, header: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.extend(header.map(|header| (AUTHORIZATION, header.parse().unwrap())));
            take(&mut uri.parse().unwrap(), &mut headers, true).unwrap().and_then(|credential| credential.user)
        };
        for (uri, header, expected) in [
            ("/query?u=a%20b&p=T", None, Some("a b")),
            ("/query?p=T&u=&u=b", None, Some("b")),
            ("/query?p=T", Some("Token a:H"), None),
            ("/query", Some("Token a:H"), Some("a")),
            ("/query", Some("Token H"), None),
            ("/query", Some("Bearer a:H"), None),
            ("/query", Some("Basic dTpU"), Some("u")),
            ("/query", Some("Basic OlQ="), None),
        ] {
            assert_eq!(user(uri, header).as_deref(), expected, "{uri} {header:?}");
        }
    }

    #[test]
    fn urls() {
        let header = Some("Token H");
        for (uri, header, token, rest) in [
            ("/query?p=T", None, Some("T"), "/query"),
            ("/query/?u=any&p=T", None, Some("T"), "/query/"),
            ("/query?q=a%3Bb&p=T&db=x+y&u=&flag", None, Some("T"), "/query?q=a%3Bb&db=x+y&flag"),
            ("/query?p=a%2Bb+c%26", None, Some("a+b c&"), "/query"),
            ("/query?%70=T&%75=u", None, Some("T"), "/query"),
            ("/query?p=&p=second&p=third", None, Some("second"), "/query"),
            ("/write?p=T&db=d", header, Some("T"), "/write?db=d"),
            ("/write?p=&u=x&db=d", header, Some("H"), "/write?db=d"),
            ("/write?u=x&db=d", None, None, "/write?db=d"),
            ("/write?P=T&pp=1&up=2", None, None, "/write?P=T&pp=1&up=2"),
            ("http://host:1/write?p=T&db=d", None, Some("T"), "http://host:1/write?db=d"),
            ("/ping", None, None, "/ping"),
            // elsewhere `p` may be the host's
            ("/search?p=2", header, Some("H"), "/search?p=2"),
            ("/search?p=2", None, Some("2"), "/search"),
        ] {
            assert_eq!(taken(uri, header), (Ok(token.map(str::to_owned)), rest.to_owned()), "{uri}");
        }
    }

    #[test]
    fn where_nobody_asks_parameters_are_the_hosts() {
        for (path, left) in [("/search?p=2", "/search?p=2"), ("/query?p=2", "/query")] {
            let mut uri: Uri = path.parse().unwrap();
            take(&mut uri, &mut HeaderMap::new(), false).unwrap();
            assert_eq!(uri, left);
        }
    }

    #[test]
    fn a_bad_header_doesnt_spoil_a_good_url() {
        assert_eq!(taken("/query?p=T", Some("Digest x")).0, Ok(Some("T".to_owned())));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn nothing_makes_it_panic_and_nothing_stays(query in "([up]=[a-z%0-9]{0,4}|[a-z%&=+0-9]{0,6}|&){0,8}", header in "(basic|token|x)? ?[ -~]{0,20}") {
            let mut uri: Uri = format!("/query?{query}").parse().unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, header.parse().unwrap());
            let _ = take(&mut uri, &mut headers, true);
            proptest::prop_assert!(headers.is_empty());
            proptest::prop_assert_eq!(uri.path(), "/query");
            let left = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
            proptest::prop_assert!(left.into_iter().all(|(name, _)| !is_credential(&name)));
        }
    }
}
