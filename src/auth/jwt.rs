//! JSON Web Tokens as 1.x takes them: HS256 with a shared secret, and in the payload `username` and `exp` (RFC 7519, RFC 7515).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that must be understood: none is.
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    username: String,
    /// Seconds since 1970, also with a fraction.
    exp: f64,
    nbf: Option<f64>,
}

/// Whether this has the form of one.
pub(super) fn looks_like(token: &str) -> bool {
    token.starts_with("ey") && token.bytes().filter(|&byte| byte == b'.').count() == 2
}

/// Whose it is, if it is signed with `secret` and good at `now` (seconds since 1970).
///
/// # Errors
/// What is wrong with it, for the log.
pub(super) fn username(token: &str, secret: &[u8], now: f64) -> Result<String, &'static str> {
    let (signed, signature) = token.rsplit_once('.').ok_or("it is none")?;
    let (header, claims) = signed.split_once('.').ok_or("it is none")?;
    let header: Header = part(header).ok_or("its header makes no sense")?;
    // Said by whoever made the token: "none", or a public key taken for a secret, must not get through.
    if header.alg != "HS256" || header.crit.is_some() {
        return Err("it is not signed with HS256");
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "its signature makes no sense")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| "the shared secret can't be used")?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&signature).map_err(|_| "its signature is wrong")?;
    let claims: Claims = part(claims).ok_or("it lacks username or exp")?;
    if claims.exp <= now {
        return Err("it has expired");
    }
    if claims.nbf.is_some_and(|from| from > now) {
        return Err("it is not good yet");
    }
    if claims.username.is_empty() {
        return Err("its username is empty");
    }
    Ok(claims.username)
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(header: &str, claims: &str, secret: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn tokens() {
        const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
        let fine = r#"{"username":"tele","exp":2000}"#;
        for (header, claims, secret, expected) in [
            (HS256, fine, "s", Ok("tele")),
            (HS256, r#"{"username":"tele","exp":2000.5,"nbf":999,"more":[1]}"#, "s", Ok("tele")),
            (HS256, fine, "other", Err("its signature is wrong")),
            (HS256, r#"{"username":"tele","exp":1000}"#, "s", Err("it has expired")),
            (HS256, r#"{"username":"tele","exp":2000,"nbf":1001}"#, "s", Err("it is not good yet")),
            (HS256, r#"{"username":"tele"}"#, "s", Err("it lacks username or exp")),
            (HS256, r#"{"exp":2000}"#, "s", Err("it lacks username or exp")),
            (HS256, r#"{"username":"","exp":2000}"#, "s", Err("its username is empty")),
            (r#"{"alg":"none"}"#, fine, "s", Err("it is not signed with HS256")),
            (r#"{"alg":"HS512"}"#, fine, "s", Err("it is not signed with HS256")),
            (r#"{"alg":"HS256","crit":["exp"]}"#, fine, "s", Err("it is not signed with HS256")),
        ] {
            let token = sign(header, claims, secret);
            assert!(looks_like(&token));
            assert_eq!(username(&token, b"s", 1000.0).as_deref().map_err(|error| *error), expected, "{header} {claims}");
        }
        let token = sign(HS256, fine, "s");
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        for bad in [&*unsigned, "", ".", "..", "a.b.c", &token[..token.len() - 1], &format!("{token}.x")] {
            assert!(username(bad, b"s", 1000.0).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_that_others_have_made() {
        // Made with Python's hmac.
        let token =
            "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VybmFtZSI6InRlbGUiLCJleHAiOjQxMDI0NDQ4MDB9.LywLKQoWoKmNo7t7XbTZIigkU4Se3kSpbUVCAAdLs0o";
        assert_eq!(username(token, b"secret", 0.0).as_deref(), Ok("tele"));
        assert_eq!(username(token, b"Secret", 0.0), Err("its signature is wrong"));
    }
}
